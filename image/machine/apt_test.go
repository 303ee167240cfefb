package machine

import (
	"os"
	"strings"
	"testing"
	"time"
)

func prepareMachine(t *testing.T, a account) *Root {
	t.Helper()
	data := a.scratch(t)
	start := time.Now()
	root, err := Prepare(t.Context(), Source{Dir: "/", DataRoot: data, Owner: a.owner})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first: %v", time.Since(start))
	start = time.Now()
	again, err := Prepare(t.Context(), Source{Dir: "/", DataRoot: data, Owner: a.owner})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("again: %v", time.Since(start))
	if again.Cache != root.Cache {
		t.Errorf("an unchanged machine got new layers: %q, then %q", root.Cache, again.Cache)
	}
	return root
}

// TestPackagesInstall installs a package that the machine has not, reinstalls one that it has, and removes another.
func TestPackagesInstall(t *testing.T) {
	a := whoAmI(t)
	if _, err := os.Stat("/usr/bin/apt-get"); err != nil {
		t.Skip("no machine with apt")
	}
	root := prepareMachine(t, a)
	dir := a.scratch(t)
	run := func(script string) string {
		t.Helper()
		if !a.subids { // no filter here that makes dropping rights succeed
			script = "echo 'APT::Sandbox::User \"root\";' > /etc/apt/apt.conf.d/single\n" + script
		}
		out, err := a.inside(t, root, dir, "sh", "-ec", script)
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		return out
	}
	t.Log(run("apt-get update 2>&1 | tail -3; apt-get install -y sl && test -x /usr/games/sl && ls -l /usr/games/sl"))
}

// TestWhatShows looks at the image from inside.
func TestWhatShows(t *testing.T) {
	a := whoAmI(t)
	root := prepareMachine(t, a)
	out, err := a.inside(t, root, a.scratch(t), "sh", "-c", `
		echo home=$(ls -A /home | wc -l) root=$(ls -A /root | tr '\n' ' ')
		ls -la / /etc/shadow
		id; touch /usr/bin/x && echo wrote; cat /etc/shadow | head -3
		mount | head; stat -c %n:%U:%a /usr /usr/bin /usr/bin/su /etc/passwd /var/lib/dpkg/status`)
	t.Log(out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "home=0 ") {
		t.Error("something of /home shows")
	}
}
