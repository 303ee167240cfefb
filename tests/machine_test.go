package tests

import (
	"os"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// The machine itself as an image: everything is there, everything can be changed, nothing changes outside.
func TestMachineAsImage(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Patience = 4 * harness.Patience // the first run of an account makes the skeletons
		run := []string{"run", "--rm", "--network", "none", "/"}
		sh := func(line string) harness.Result { return l.Moss(append(run, "sh", "-c", line)...) }
		l.Moss(append(run, "id", "-u")...).Want(t, harness.Result{Stdout: "0\n"})
		sh("echo canary >/usr/bin/moss-canary; echo canary >/etc/moss-canary; rm -f /etc/debian_version; cat /usr/bin/moss-canary").
			Want(t, harness.Result{Stdout: "canary\n"})
		for _, path := range []string{"/usr/bin/moss-canary", "/etc/moss-canary"} {
			if harness.Exists(path) {
				t.Errorf("%s is on the machine itself", path)
			}
		}
		home, _ := os.ReadDir("/home")
		if r := sh("ls -A /home /root | grep -v :"); len(home) > 0 && strings.Contains(r.Stdout, home[0].Name()) {
			t.Errorf("homes of the machine show inside: %s", r)
		}
		if r := sh("cat /etc/shadow"); strings.Contains(r.Stdout, "$") {
			t.Errorf("the machine's shadow file is readable inside: %s", r)
		}
		if r := sh("dpkg-query -W bash >/dev/null && echo known"); r.Stdout != "known\n" {
			t.Errorf("dpkg inside does not know the machine's packages: %s", r)
		}
	})
}

func TestPackageInTheMachineAsImage(t *testing.T) {
	harness.RequireRoot(t)
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Patience = 8 * harness.Patience
		install, use := "cowsay python3-flask", `/usr/bin/python3 -c 'import flask; print("flask", 6*7)'`
		if l.Ids == harness.Ranges { // the same with less work; flask is TestDebianImage's there
			install, use = "cowsay", "echo flask 42"
		}
		r := l.Moss("run", "--rm", "--network", "host", "/", "sh", "-ec", `
			export DEBIAN_FRONTEND=noninteractive
			apt-get -qq update >/dev/null 2>&1 && apt-get -qq install -y --no-install-recommends `+install+` >/dev/null
			/usr/games/cowsay moo
			`+use)
		if r.Code != 0 || !strings.Contains(r.Stdout, "< moo >") || !strings.Contains(r.Stdout, "flask 42") {
			t.Errorf("apt inside: %s", r)
		}
		if harness.Exists("/usr/games/cowsay") {
			t.Error("cowsay is on the machine itself")
		}
	})
}
