//go:build host

package host

import (
	"os"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// prepareMachine puts moss into PATH and a busybox root into /srv/root, readable by everybody.
func prepareMachine(t *testing.T, release string) *harness.Machine {
	t.Helper()
	harness.RequirePackages(t, "busybox-static")
	m := harness.BootMachine(t, release)
	m.Copy(harness.Binary(t), "/usr/local/bin/moss")
	m.Copy("/usr/bin/busybox", "/srv/busybox")
	m.Run("root", `set -e; cd /srv; mkdir -p root/bin root/etc root/tmp root/proc root/sys root/dev; mv busybox root/bin/
		for p in $(root/bin/busybox --list); do [ $p = busybox ] || ln -s busybox root/bin/$p; done
		echo root:x:0:0:root:/:/bin/sh >root/etc/passwd; chmod 755 /usr/local/bin/moss`).OK(t)
	return m
}

func TestDebian12(t *testing.T) { suite(t, prepareMachine(t, "12")) }

func TestDebian13(t *testing.T) { suite(t, prepareMachine(t, "13")) }

// suite is what holds on every host with systemd. The machine is shared by its parts, and booted once more by the last.
func suite(t *testing.T, m *harness.Machine) {
	for _, part := range []struct {
		name string
		play func(*testing.T, *harness.Machine)
	}{
		{"first", first},
		{"two users", twoUsers},
		{"limits", limited},
		{"storage", storage},
		{"namespaces forbidden", forbidden},
		{"logout", logout},
		{"reboot", reboot},
	} {
		t.Run(part.name, func(t *testing.T) { part.play(t, m) })
	}
}

// first is the day's work of each kind of account.
func first(t *testing.T, m *harness.Machine) {
	for _, user := range []string{"ann", "nosub", "root"} {
		t.Run(user, func(t *testing.T) {
			for _, c := range []struct{ name, line, want string }{
				{"version", "moss version", "Version:"},
				{"info", "moss info", "Cgroup Version: 2"},
				{"check", "moss info --check", ""},
				{"run", "moss run --rm /srv/root echo hello", "hello"},
				{"uid inside", "moss run --rm /srv/root id -u", "0"},
				{"pid inside", "moss run --rm /srv/root sh -c 'echo $$'", "1"},
				{"input", "echo typed | moss run --rm -i /srv/root cat", "typed"},
				{"exit code", "moss run --rm /srv/root sh -c 'exit 7' || echo code $?", "code 7"},
				{"detached", "moss run -d --name dd /srv/root sh -c 'echo said; sleep 1000' >/dev/null && moss ps --format '{{.Names}} {{.State}}'", "dd running"},
				{"exec", "moss exec dd echo in", "in"},
				{"logs", "moss logs dd", "said"},
				{"removed", "moss rm -f dd && moss ps -aq | wc -l", "0"},
				{"without a runtime directory", "unset XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS; moss run --rm /srv/root echo hello", "hello"},
			} {
				t.Run(c.name, func(t *testing.T) {
					if out := m.Run(user, c.line).OK(t); !strings.Contains(out, c.want) {
						t.Errorf("%s: got %q, want %q", c.line, out, c.want)
					}
				})
			}
			wantNoProcess(t, m, user)
		})
	}
}

// wantNoProcess wants that no moss of the user runs once its containers are gone.
func wantNoProcess(t *testing.T, m *harness.Machine, user string) {
	t.Helper()
	line := `for i in $(seq 20); do left=$(for p in /proc/[0-9]*; do case $(readlink $p/exe) in */moss|/memfd:*) echo $p $(tr '\0' ' ' <$p/cmdline);; esac; done)
		[ -z "$left" ] && exit 0; sleep 0.5; done; echo "$left"; exit 1`
	if r := m.Run("root", line); r.Code != 0 {
		t.Errorf("left of %s: %s", user, r.Stdout)
	}
}

// forbidden wants the exact remedy where an administrator has switched user namespaces off (hosts.md g).
func forbidden(t *testing.T, m *harness.Machine) {
	for _, c := range []struct{ sysctl, off, on string }{
		{"kernel.unprivileged_userns_clone", "0", "1"},
		{"user.max_user_namespaces", "0", "10000"},
	} {
		t.Run(c.sysctl, func(t *testing.T) {
			m.Run("root", "sysctl -q "+c.sysctl+"="+c.off).OK(t)
			defer m.Run("root", "sysctl -q "+c.sysctl+"="+c.on)
			r := m.Run("ann", "moss run --rm /srv/root true")
			r.Fails(t, 125, c.sysctl)
			if code := m.Run("ann", "moss info --check").Code; code == 0 {
				t.Error("moss info --check: code 0 where run cannot work")
			}
		})
	}
}
