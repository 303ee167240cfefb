//go:build host

package host

import (
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// detach starts a container that does nothing. What holds the output of an ssh command open keeps it from ending, so all of it
// is closed.
const detach = "moss run -d --name NAME FLAGS /srv/root sleep 100000 </dev/null >/dev/null 2>&1"

func start(t *testing.T, m *harness.Machine, user, name, flags string) {
	t.Helper()
	m.Run(user, strings.NewReplacer("NAME", name, "FLAGS", flags).Replace(detach)).OK(t)
}

func wantRunning(t *testing.T, m *harness.Machine, user, want string) {
	t.Helper()
	if got := m.Run(user, "moss ps --format '{{.Names}}' | sort | xargs").OK(t); got != want {
		t.Errorf("of %s run %q, want %q", user, got, want)
	}
}

// twoUsers wants that one user's containers are nobody else's: not seen, not entered, not stopped, their files not read.
func twoUsers(t *testing.T, m *harness.Machine) {
	start(t, m, "ann", "secret", "-v vol:/data")
	for _, c := range []struct{ name, line string }{
		{"exec", "moss exec secret true"},
		{"logs", "moss logs secret"},
		{"stop", "moss stop secret"},
		{"her files", "ls /home/ann/.local/share/moss"},
		{"her files by the container", `ls /proc/$(pgrep -u ann -f moss-holder | head -1)/root/`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := m.Run("bob", c.line); r.Code == 0 || r.Stdout != "" {
				t.Errorf("%s as bob: %s", c.line, r)
			}
		})
	}
	if r := m.Run("bob", "moss ps -aq; moss images -q; moss volume ls -q"); r.Code != 0 || r.Stdout != "" {
		t.Errorf("bob sees %s", r)
	}
	wantRunning(t, m, "ann", "secret")
	m.Run("ann", "moss rm -f secret && moss volume rm vol").OK(t)
}

// storage runs on every rung that this kernel has.
func storage(t *testing.T, m *harness.Machine) {
	if driver := m.Run("ann", "moss info -f '{{.Driver}}'").OK(t); !strings.Contains(driver, "overlay") {
		t.Errorf("storage driver %q on a kernel that has overlay in user namespaces", driver)
	}
	for _, rung := range []string{"overlay", "copy"} {
		line := "MOSS_STORAGE=" + rung + " moss run --rm /srv/root sh -c 'echo x >/etc/new; cat /etc/new; stat -c %u /etc/new'"
		if r := m.Run("ann", line); r.Code != 0 || r.Stdout != "x\n0\n" {
			t.Errorf("%s: %s", rung, r)
		}
	}
	for user, ids := range map[string]string{"ann": "65537", "nosub": "1"} {
		if got := m.Run(user, `moss run --rm /srv/root awk '{n += $3} END {print n}' /proc/self/uid_map`).OK(t); got != ids {
			t.Errorf("%s has %s ids inside, want %s", user, got, ids)
		}
	}
}

// logout wants that what runs goes on when the last session of its user has ended, where the user lingers (hosts.md a: systemd
// stops a user's services 10 s later where not).
func logout(t *testing.T, m *harness.Machine) {
	m.Run("root", "loginctl enable-linger ann").OK(t)
	start(t, m, "ann", "stays", "")
	m.Run("root", "for i in $(seq 60); do loginctl list-sessions --no-legend | grep -q ann || break; sleep 1; done; sleep 15").OK(t)
	wantRunning(t, m, "ann", "stays")
	if got := m.Run("ann", "moss exec stays echo in").OK(t); got != "in" {
		t.Errorf("exec after a logout: %q", got)
	}
	m.Run("ann", "moss rm -f stays").OK(t)
	m.Run("root", "loginctl disable-linger ann").OK(t)
}

// reboot wants that containers with a restart policy are back after a boot, without a login, and others are not.
func reboot(t *testing.T, m *harness.Machine) {
	m.Run("root", "loginctl enable-linger ann").OK(t)
	m.Run("ann", "moss boot enable").OK(t)
	start(t, m, "ann", "back", "--restart always")
	start(t, m, "ann", "gone", "")
	m.Reboot()
	alive := `for i in $(seq 120); do pgrep -u ann -f moss-holder >/dev/null && exit 0; sleep 1; done; exit 1`
	m.Run("root", alive).OK(t)
	wantRunning(t, m, "ann", "back")
	if got := m.Run("ann", "moss inspect -f '{{.State.Status}}' gone").OK(t); got != "exited" {
		t.Errorf("a container without a policy is %q after a boot", got)
	}
	m.Run("ann", "moss boot disable && moss rm -f back gone").OK(t)
}
