package machine

// dpkg makes a hard link of each file before it replaces it, which is EPERM for a file of an unmapped id
// (fs.protected_hardlinks, Linux 3.6; every distribution switches it on). dpkg runs its pre-invoke hooks before it
// unpacks anything (dpkg.cfg(5)), so there the files that are going to be replaced are exchanged for copies of their own, and
// links too: dpkg gives its backup of a link the owner of the old one, which a single id cannot.
// apt has no part in this: `dpkg -i` works too. Tried instead: apt's DPkg::Pre-Install-Pkgs, which misses `dpkg -i`; copying
// whole packages on start, which costs every container.
//
// Not covered: dpkg-divert --rename of a file of the machine (EOVERFLOW: its owner has no id inside).

// dpkgConfig is /etc/dpkg/dpkg.cfg.d/zz-moss inside. Without force-unsafe-io each unpacked file is synced to disk.
const dpkgConfig = `# Made by moss: this is a copy-on-write view of another machine.
force-unsafe-io
pre-invoke=/etc/dpkg/moss-adopt $PPID
`

// policyScript is Debian's way of saying that services are not to be started (invoke-rc.d(8)).
const policyScript = `#!/bin/sh
# Made by moss: no service starts in a view of a machine.
exit 101
`

// adoptScript is Perl because perl-base is essential in Debian and starts no process per file.
const adoptScript = `#!/usr/bin/perl
# Made by moss. dpkg runs it before anything else, with its own process id as argument: files of the machine which a package
# is about to replace become this container's own, since dpkg could not hard-link them otherwise.
use strict;
exit 0 unless ($ENV{DPKG_HOOK_ACTION} // '') =~ /^(unpack|install)$/;
my $nobody = 65534;
my @diverted = do { local (@ARGV, $/) = ('/var/lib/dpkg/diversions'); split /\n/, <> // '' };
my %diverted = map { $diverted[3 * $_] => $diverted[3 * $_ + 1] } 0 .. @diverted / 3 - 1;
my @args = do { local (@ARGV, $/) = ("/proc/$ARGV[0]/cmdline"); split /\0/, <> // '' };
my @debs = grep { /\.deb$/ && -f } @args;
for my $dir (grep { -d } @args) {
	push @debs, grep { -f } glob("'$dir'/*.deb");
}
for my $deb (@debs) {
	my %field = map { /^(\S+):\s*(.*)/ ? ($1, $2) : () } lines('dpkg-deb', '-f', $deb, 'Package', 'Architecture', 'Replaces');
	my $info = "/var/lib/dpkg/info/$field{Package}";
	next unless $field{Replaces} || -e "$info.list" || -e "$info:$field{Architecture}.list";
	adopt($_) for map { ($_, $diverted{$_} // ()) } names($deb);
}

sub lines {
	open(my $in, '-|', @_) or return ();
	chomp(my @out = <$in>);
	return @out;
}

sub names {
	open(my $in, '-|', 'sh', '-c', 'dpkg-deb --fsys-tarfile "$1" | tar --quoting-style=literal -t', 'sh', $_[0]) or return ();
	chomp(my @out = <$in>);
	return map { s/^\.?\/*/\//r } @out;
}

sub adopt {
	my ($path) = @_;
	my ($mode, $uid, $mtime) = (lstat $path)[2, 4, 9];
	return unless defined $uid && $uid == $nobody;
	my $new = "$path.moss-adopt";
	if (-l _) {
		symlink(readlink($path), $new) and rename($new, $path) || unlink $new;
		return;
	}
	return unless -f _;
	open(my $in, '<:raw', $path) or return;
	open(my $out, '>:raw', $new) or return;
	my $buf;
	while (sysread($in, $buf, 1 << 20)) {
		syswrite($out, $buf) == length $buf or do { unlink $new; return };
	}
	chmod $mode & 07777, $out;
	close $out;
	utime $mtime, $mtime, $new;
	rename $new, $path or unlink $new;
}
`
