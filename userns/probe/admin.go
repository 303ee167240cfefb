package probe

import "strings"

// AdminScript is a POSIX shell script for the administrator, which gives the account all that moss can make use of. Each step
// looks first whether it is needed, so that it can run again, on every host of a class, and after each replacement of the
// binary. It is printed, never run, by moss.
func AdminScript(f Facts, user string) string {
	steps := []string{adminHead, adminSysctl}
	if profile := appArmorProfile(f.Binary); profile != "" {
		steps = append(steps, strings.ReplaceAll(adminAppArmor, "@PROFILE@", profile))
	}
	steps = append(steps, adminSubids, adminHelpers, adminDelegate, adminLinger)
	return strings.ReplaceAll(strings.Join(steps, "\n"), "@USER@", quote(user))
}

// quote makes one word of s for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// appArmorProfile is the profile that gives the program at path the right to make user namespaces and takes nothing from it.
// With flags=(unconfined) what the program executes keeps the profile (security/apparmor/domain.c, profile_transition), so
// that the starter in memory has the right as well. Empty when the path cannot be written in a profile.
func appArmorProfile(path string) string {
	if path == "" || strings.ContainsAny(path, "\n\"\\") {
		return ""
	}
	var b strings.Builder
	for _, r := range path {
		if strings.ContainsRune("*?[]{}^@", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return strings.ReplaceAll(`abi <abi/4.0>,
include <tunables/global>

profile moss "@PATH@" flags=(unconfined) {
  userns,
  include if exists <local/moss>
}`, "@PATH@", b.String())
}

const adminHead = `#!/bin/sh
# Sets up this machine so that one account can use moss at its best. Made by: moss info --admin
# Read it, then run it as root. It may run again: each step looks first whether it is needed.
set -eu
user=@USER@
[ "$(id -u)" = 0 ] || { echo 'run this as root, for example: moss info --admin | sudo sh' >&2; exit 1; }
uid=$(id -u "$user") || exit 1
done_() { echo "done: $*"; }
has() { command -v "$1" >/dev/null 2>&1; }
# put FILE: writes standard input to FILE if that changes it
put() {
	new=$(cat; echo x); new=${new%x}
	if [ -f "$1" ] && [ "$(cat "$1"; echo x)" = "${new}x" ]; then return 1; fi
	mkdir -p "$(dirname "$1")"
	printf %s "$new" >"$1"
}
`

const adminSysctl = `# 1. User namespaces, where a switch forbids them.
allow() { # KEY VALUE
	file=/proc/sys/$(echo "$1" | tr . /)
	if [ -e "$file" ] && [ "$(cat "$file")" = 0 ]; then
		echo "$1 = $2" >>/etc/sysctl.d/60-moss.conf
		echo "$2" >"$file"
		done_ "$1 is $2"
	fi
}
mkdir -p /etc/sysctl.d
allow kernel.unprivileged_userns_clone 1
allow user.max_user_namespaces 15000
`

const adminAppArmor = `# 2. The right to use them, where AppArmor takes it from all programs without a profile.
if [ "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null)" = 1 ] && has apparmor_parser; then
	if put /etc/apparmor.d/moss <<'PROFILE'
@PROFILE@
PROFILE
	then
		apparmor_parser -r /etc/apparmor.d/moss
		done_ 'AppArmor profile for moss'
	fi
fi
`

const adminSubids = `# 3. Subordinate ids: more than one user in a container. The range begins after all that are given or in use.
subids() { # FILE
	touch "$1"
	if grep -q -e "^$user:" -e "^$uid:" "$1"; then return; fi
	echo "$user:$first:65536" >>"$1"
	done_ "$user has 65536 ids from $first on in $1"
}
touch /etc/subuid /etc/subgid
first=$({ cat /etc/subuid /etc/subgid; { getent passwd; getent group; } | awk -F: '{ print "x:" $3 ":1" }'; } |
	awk -F: 'BEGIN { n = 100000 } $2 >= 65536 || $3 > 1 { e = $2 + $3; if (e > n) n = e } END { printf "%.0f", n }')
if [ "$first" -le 4294836223 ]; then
	subids /etc/subuid
	subids /etc/subgid
else
	echo "no room for a range of 65536 ids after $first: give $user one by hand in /etc/subuid and /etc/subgid" >&2
fi
`

const adminHelpers = `# 4. The programs that map them.
if ! has newuidmap; then
	if has apt-get; then apt-get install -y uidmap
	elif has dnf; then dnf install -y shadow-utils
	elif has zypper; then zypper --non-interactive install shadow
	elif has apk; then apk add shadow-uidmap
	elif has pacman; then pacman -S --noconfirm shadow
	else echo 'install newuidmap and newgidmap by hand' >&2
	fi
fi
`

const adminDelegate = `# 5. Limits that the kernel enforces: all controllers for the systemd of each user.
if [ -d /run/systemd/system ] && [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	if put /etc/systemd/system/user@.service.d/moss-delegate.conf <<'UNIT'
[Service]
Delegate=cpu cpuset io memory pids
UNIT
	then
		systemctl daemon-reload
		done_ 'all controllers are delegated, from the next login on'
	fi
fi
`

const adminLinger = `# 6. Containers that run on after the logout, and start again after a reboot.
if [ -d /run/systemd/system ] && [ ! -e "/var/lib/systemd/linger/$user" ]; then
	loginctl enable-linger "$user"
	done_ "$user lingers"
fi
`
