package machine

import (
	"os"
	"strings"
	"testing"
)

// prepareMachine makes the image of this machine, twice.
func prepareMachine(t *testing.T, a account) *Root {
	t.Helper()
	src := Source{Dir: "/", DataRoot: a.scratch(t), Owner: a.owner}
	root := prepare(t, src)
	if again := prepare(t, src); again.Cache != root.Cache {
		t.Logf("the machine changed meanwhile: %q, then %q", root.Cache, again.Cache)
	}
	return root
}

// requireMirror skips where no package can be had.
func requireMirror(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a package mirror")
	}
	if _, err := os.Stat("/usr/bin/apt-get"); err != nil {
		requireOrSkip(t, "a machine with apt: %v", err)
	}
}

// TestPackagesInside installs a package that the machine has not, replaces and removes others that it has. Nothing changes outside.
func TestPackagesInside(t *testing.T) {
	requireMirror(t)
	a := whoAmI(t)
	root := prepareMachine(t, a)
	dir := a.scratch(t)
	prelude := "set -e\n"
	if !a.subids { // no filter here that makes dropping rights succeed
		prelude += "echo 'APT::Sandbox::User \"root\";' > /etc/apt/apt.conf.d/single\n"
	}
	outside, _ := os.Stat("/usr/bin/hostname")
	for _, step := range []struct{ name, script, want string }{
		{"update", "apt-get update 2>&1", "Reading package lists"},
		{"install a new one", "apt-get install -y sl 2>&1; test -x /usr/games/sl && echo new", "\nnew\n"},
		{"replace one of the machine's", "apt-get install -y --reinstall hostname 2>&1; stat -c owner=%u:%g /usr/bin/hostname", "owner=0:0"},
		{"remove one with a set-id program", "dpkg --remove --force-all passwd 2>&1; test ! -e /usr/bin/chsh && echo gone", "\ngone\n"},
	} {
		t.Run(step.name, func(t *testing.T) {
			out, err := a.inside(t, root, dir, "sh", "-c", prelude+step.script)
			if err != nil || !strings.Contains(out, step.want) {
				t.Errorf("%v, want %q in\n%s", err, step.want, out)
			}
		})
	}
	if now, err := os.Stat("/usr/bin/hostname"); err != nil || !now.ModTime().Equal(outside.ModTime()) {
		t.Error("the machine itself changed")
	}
	if _, err := os.Stat("/usr/games/sl"); err == nil {
		t.Error("the package was installed on the machine itself")
	}
}

// TestInsideTheMachine looks at the image from inside: every line asks one thing.
func TestInsideTheMachine(t *testing.T) {
	a := whoAmI(t)
	root := prepareMachine(t, a)
	dir := a.scratch(t)
	for _, c := range []struct{ name, script string }{
		{"create in /usr/bin", "echo x > /usr/bin/moss-test"},
		{"replace a program", "cp /usr/bin/env /usr/bin/env.new && mv /usr/bin/env.new /usr/bin/env"},
		{"delete a program", "rm /usr/bin/env && test ! -e /usr/bin/env"},
		{"remove a directory of the machine", "rm -r /usr/share/doc/bash && test ! -e /usr/share/doc/bash"},
		{"edit /etc in place", "echo x >> /etc/passwd"},
		{"root's files in /etc", "test $(stat -c %u /etc/passwd) = 0"},
		{"no passwords", "test -O /etc/shadow && ! grep -v '^[^:]*:[*]:' /etc/shadow"},
		{"no homes", "test -z \"$(ls -A /home)\""},
		{"nothing of /tmp and /var/tmp", "test -z \"$(ls -A /tmp /var/tmp | grep moss)\""},
		{"only top directories of the standard", "test -z \"$(ls / | grep -vxE 'bin|boot|dev|etc|home|lib.*|media|mnt|nix|gnu|opt|proc|root|run|sbin|srv|sys|tmp|usr|var')\""},
		{"another identity", "grep -xE '[0-9a-f]{32}' /etc/machine-id && ! grep -q . /proc/1/root/none 2>/dev/null"},
		{"the package database answers", "! test -e /usr/bin/dpkg || dpkg -s libc6 >/dev/null"},
		{"services do not start", "! test -e /etc/dpkg || ! /usr/sbin/policy-rc.d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if out, err := a.inside(t, root, dir, "sh", "-c", c.script); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if _, err := os.Stat("/usr/bin/moss-test"); err == nil {
		t.Error("a file written inside is outside")
	}
}
