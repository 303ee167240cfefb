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

// Layers of the machine that were replaced stay as long as a container stands on them, and go with it.
func TestReplacedViewsOfTheMachineGo(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Patience = 4 * harness.Patience
		l.Moss("create", "--name", "cc", "--network", "none", "/", "true").OK(t)
		l.Moss("create", "--name", "other", "--network", "none", "/", "true").OK(t)
		// As if the machine had changed an hour ago, see image/machine.Collect.
		l.Sh("moss", `cd `+l.Data()+`/machine && for d in */; do case $d in .*|*.new*) ;; *) touch -d '1 hour ago' "${d}retired" || exit 1;; esac; done`).OK(t)
		l.Moss("rm", "other").OK(t)
		l.Moss("start", "cc").OK(t)
		l.Moss("wait", "cc").Want(t, harness.Result{Stdout: "0\n"})
		l.Moss("rm", "cc").OK(t)
		l.Sh("moss", `find `+l.Data()+`/machine -name retired`).Want(t, harness.Result{})
	})
}
