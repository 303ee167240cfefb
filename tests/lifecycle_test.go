package tests

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

var id64 = regexp.MustCompile(`^[0-9a-f]{64}$`)

// start runs a detached container and returns its id.
func start(t *testing.T, l *harness.Login, name string, args ...string) string {
	t.Helper()
	id := l.Moss(append([]string{"run", "-d", "--network", "none", "--name", name, "./root"}, args...)...).OK(t)
	if !id64.MatchString(id) {
		t.Fatalf("run -d printed %q, want 64 hex digits", id)
	}
	return id
}

// ended waits until the container has ended by itself.
func ended(t *testing.T, l *harness.Login, name string) {
	t.Helper()
	harness.Eventually(t, harness.Patience, name+" ends", func() bool {
		return l.Moss("inspect", "-f", "{{.State.Status}}", name).Stdout == "exited\n"
	})
}

func TestDetachedContainer(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		id := start(t, l, "dd", "sleep", "1000")
		for _, ref := range []string{"dd", id, id[:12], id[:4]} {
			l.Moss("exec", ref, "echo", "in").Want(t, harness.Result{Stdout: "in\n"})
		}
		l.Moss("ps", "-q").Want(t, harness.Result{Stdout: id[:12] + "\n"})
		l.Moss("ps", "-q", "--no-trunc").Want(t, harness.Result{Stdout: id + "\n"})
		l.Moss("kill", "dd").Want(t, harness.Result{Stdout: "dd\n"})
		ended(t, l, "dd")
		l.Moss("ps", "-q").Want(t, harness.Result{})
		l.Moss("ps", "-aq").Want(t, harness.Result{Stdout: id[:12] + "\n"})
		l.Moss("inspect", "-f", "{{.State.ExitCode}}", "dd").Want(t, harness.Result{Stdout: "137\n"})
		l.Moss("rm", "dd").Want(t, harness.Result{Stdout: "dd\n"})
		l.Moss("ps", "-aq").Want(t, harness.Result{})
	})
}

func TestPsTable(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Moss("ps").Want(t, harness.Result{Stdout: "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"})
		start(t, l, "one", "sleep", "1000")
		start(t, l, "two", "sh", "-c", "exit 3")
		ended(t, l, "two")
		head := `CONTAINER ID   IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n`
		one := `[0-9a-f]{12}   \./root +"sleep 1000" +(Less than a second|\d+ seconds?) ago +Up (Less than a second|\d+ seconds?) +one\n`
		two := `[0-9a-f]{12}   \./root +"sh -c 'exit 3'" +(Less than a second|\d+ seconds?) ago +Exited \(3\) (Less than a second|\d+ seconds?) ago +two\n`
		if r := l.Moss("ps"); !regexp.MustCompile(`^` + head + one + `$`).MatchString(r.Stdout) {
			t.Errorf("ps: %s", r)
		}
		if r := l.Moss("ps", "-a"); !regexp.MustCompile(`^` + head + two + one + `$`).MatchString(r.Stdout) {
			t.Errorf("ps -a (newest first): %s", r)
		}
		l.Moss("ps", "-a", "--format", "{{.Names}} {{.Image}}").Want(t, harness.Result{Stdout: "two ./root\none ./root\n"})
		var row struct{ ID, Names, Command, State string }
		if err := json.Unmarshal([]byte(l.Moss("ps", "--format", "json").Stdout), &row); err != nil || row.Names != "one" || row.State != "running" {
			t.Errorf("ps --format json: %+v, %v", row, err)
		}
		l.Moss("rm", "-f", "one", "two").Want(t, harness.Result{Stdout: "one\ntwo\n"})
	})
}

func TestLogs(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		start(t, l, "ll", "sh", "-c", "echo out1; echo err1 >&2; sleep 1; echo out2; printf unfinished")
		followed := l.Moss("logs", "-f", "ll")
		followed.Want(t, harness.Result{Stdout: "out1\nout2\nunfinished", Stderr: "err1\n"})
		if followed.Took > 30*time.Second {
			t.Errorf("logs -f did not end with the container: %v", followed.Took)
		}
		l.Moss("logs", "ll").Want(t, harness.Result{Stdout: "out1\nout2\nunfinished", Stderr: "err1\n"})
		l.Moss("logs", "--tail", "1", "ll").Want(t, harness.Result{Stdout: "unfinished"})
		l.Moss("logs", "nosuch").Fails(t, 1, "No such container: nosuch")
		l.Moss("rm", "ll").OK(t)
	})
}

func TestExec(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		start(t, l, "ee", "sh", "-c", "cd /tmp; sleep 1000")
		for _, s := range []scene{
			{"prints", `$moss exec ee echo hi`, "hi\n", "", 0},
			{"keeps the exit code", `$moss exec ee sh -c 'exit 9'`, "", "", 9},
			{"keeps the streams apart", `$moss exec ee sh -c 'echo o; echo e >&2'`, "o\n", "e\n", 0},
			{"reads input", `echo typed | $moss exec -i ee cat`, "typed\n", "", 0},
			{"has no input without -i", `echo typed | $moss exec ee cat`, "", "", 0},
			{"sees the container's processes", `$moss exec ee sh -c 'tr "\000" " " </proc/1/cmdline'`, "~sh -c cd /tmp; sleep 1000 ?|sleep 1000 ?", "", 0},
			{"shares its files", `$moss exec ee touch /shared && $moss exec ee ls /shared`, "/shared\n", "", 0},
			{"environment", `$moss exec -e A=b ee sh -c 'echo $A$HOME'`, "b/root\n", "", 0},
			{"working directory", `$moss exec -w /etc ee pwd`, "/etc\n", "", 0},
			{"starts in the container's own", `$moss exec ee pwd`, "/\n", "", 0},
			{"no such command", `$moss exec ee nosuch`, `~OCI runtime exec failed: .*exec: "nosuch": executable file not found in \$PATH: unknown\r?\n`, "", 127},
			{"not executable", `$moss exec ee /etc/passwd`, `~OCI runtime exec failed: .*permission denied: unknown\r?\n`, "", 126},
			{"no such container", `$moss exec nosuch true`, "", "*No such container: nosuch", 1},
			{"confined like pid 1", `$moss exec ee sh -c 'for p in 1 self; do grep -E "^(Cap(Inh|Prm|Eff|Bnd|Amb)|Seccomp):" /proc/$p/status; done | sort | uniq -c | grep -vc "^ *2 "'`, "0\n", "", 1},
		} {
			t.Run(s.name, func(t *testing.T) { s.play(t, l, "moss") })
		}
		l.Moss("kill", "ee").OK(t)
		ended(t, l, "ee")
		l.Moss("exec", "ee", "true").Fails(t, 1, "is not running")
		l.Moss("rm", "ee").OK(t)
	})
}

func TestStopKillRemove(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		start(t, l, "polite", "sh", "-c", `trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done`)
		harness.Eventually(t, harness.Patience, "the trap is set", func() bool { return l.Moss("logs", "polite").Stdout == "ready\n" })
		l.Moss("stop", "polite").Want(t, harness.Result{Stdout: "polite\n"})
		l.Moss("inspect", "-f", "{{.State.ExitCode}} {{.State.Running}}", "polite").Want(t, harness.Result{Stdout: "5 false\n"})
		l.Moss("stop", "polite").Want(t, harness.Result{Stdout: "polite\n"}) // as Docker: no error

		l.Moss("run", "-d", "--network", "none", "--name", "deaf", "--stop-timeout", "1000", "./root", "sleep", "1000").OK(t)
		r := l.Moss("stop", "-t", "1", "deaf") // pid 1 without a handler ignores SIGTERM
		r.Want(t, harness.Result{Stdout: "deaf\n"})
		if r.Took < time.Second {
			t.Errorf("stop -t 1 took %v", r.Took)
		}
		l.Moss("inspect", "-f", "{{.State.ExitCode}}", "deaf").Want(t, harness.Result{Stdout: "137\n"})

		start(t, l, "usr", "sh", "-c", `trap 'exit 6' USR1; echo ready; while :; do sleep 0.05; done`)
		harness.Eventually(t, harness.Patience, "the trap is set", func() bool { return l.Moss("logs", "usr").Stdout == "ready\n" })
		l.Moss("rm", "usr").Fails(t, 1, `cannot remove container "/usr"`, "container is running")
		l.Moss("kill", "-s", "USR1", "usr").Want(t, harness.Result{Stdout: "usr\n"})
		ended(t, l, "usr")
		l.Moss("inspect", "-f", "{{.State.ExitCode}}", "usr").Want(t, harness.Result{Stdout: "6\n"})
		l.Moss("kill", "usr").Fails(t, 1, "is not running")

		for _, verb := range []string{"stop", "kill", "rm"} {
			l.Moss(verb, "nosuch").Fails(t, 1, "No such container: nosuch")
		}
		if r := l.Moss("rm", "-f", "nosuch"); r.Code != 0 || !strings.Contains(r.Stderr, "No such container: nosuch") { // as Docker: told, no failure
			t.Errorf("rm -f of nothing: %s", r)
		}
		l.Moss("rm", "polite", "deaf", "usr").Want(t, harness.Result{Stdout: "polite\ndeaf\nusr\n"})
	})
}

func TestForegroundEndsWithItsContainer(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		done := make(chan harness.Result, 1)
		cmd := l.Command("moss", "run", "--name", "fg", "--network", "none", "./root", "sleep", "1000")
		go func() { done <- l.Do(cmd) }()
		harness.Eventually(t, harness.Patience, "fg runs", func() bool {
			return l.Moss("inspect", "-f", "{{.State.Status}}", "fg").Stdout == "running\n"
		})
		l.Moss("kill", "fg").OK(t)
		(<-done).Want(t, harness.Result{Code: 137})
		l.Moss("rm", "fg").OK(t)
	})
}

func TestNames(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		id := start(t, l, "taken", "sleep", "1000")
		l.Moss("run", "-d", "--network", "none", "--name", "taken", "./root", "true").
			Fails(t, 125, `Conflict. The container name "/taken" is already in use by container "`+id+`"`)
		if name := l.Moss("inspect", "-f", "{{.Name}}", id).OK(t); name != "/taken" {
			t.Errorf("name %q", name)
		}
		l.Moss("rm", "-f", "taken").OK(t)
		id = l.Moss("run", "-d", "--network", "none", "./root", "true").OK(t)
		if name := l.Moss("inspect", "-f", "{{.Name}}", id).OK(t); !regexp.MustCompile(`^/[a-z]+_[a-z]+\d*$`).MatchString(name) {
			t.Errorf("generated name %q", name)
		}
		ended(t, l, id)
		l.Moss("rm", id).Want(t, harness.Result{Stdout: id + "\n"})
	})
}

func TestInspect(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		id := start(t, l, "ii", "sleep", "1000")
		var all []struct {
			ID     string `json:"Id"`
			Name   string
			Path   string
			Args   []string
			Image  string
			Config struct {
				Image, Hostname string
				Cmd, Env        []string
			}
			State struct {
				Status   string
				Running  bool
				Pid      int
				ExitCode int
			}
			HostConfig struct {
				NetworkMode string
				AutoRemove  bool
			}
		}
		if err := json.Unmarshal([]byte(l.Moss("inspect", "ii").OK(t)), &all); err != nil || len(all) != 1 {
			t.Fatalf("inspect: %v, %d objects", err, len(all))
		}
		c := all[0]
		got := fmt.Sprintln(c.ID == id, c.Name, c.Path, c.Args, c.Config.Image, c.Config.Hostname == id[:12], c.State.Status, c.State.Running,
			c.State.Pid > 0, c.State.ExitCode, c.HostConfig.NetworkMode, c.HostConfig.AutoRemove)
		if want := "true /ii sleep [1000] ./root true running true true 0 none false\n"; got != want {
			t.Errorf("inspect: got %s\nwant %s", got, want)
		}
		if r := l.Moss("inspect", "nosuch"); r.Code != 1 || r.Stdout != "[]\n" || !strings.Contains(r.Stderr, "o such object: nosuch") {
			t.Errorf("inspect of nothing: %s", r)
		}
		l.Moss("rm", "-f", "ii").OK(t)
	})
}

func TestDetachedAndRemovedAtItsEnd(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Moss("run", "-d", "--rm", "--name", "gone", "--network", "none", "./root", "sleep", "0.2").OK(t)
		harness.Eventually(t, harness.Patience, "it is removed", func() bool { return l.Moss("ps", "-aq").Stdout == "" })
	})
}

func TestHundredAtOnce(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Patience = 5 * harness.Patience
		n := 100
		if l.Ids != harness.Ranges {
			n = 30 // three times a hundred is a test of the machine
		}
		var group sync.WaitGroup
		codes := make([]harness.Result, n)
		for i := range n {
			group.Go(func() {
				codes[i] = l.Moss("run", "-d", "--name", fmt.Sprintf("c%d", i), "--network", "none", "./root", "sh", "-c", fmt.Sprintf("trap 'exit 0' TERM; echo line %d; sleep 1000 & wait", i))
			})
		}
		group.Wait()
		for i, r := range codes {
			if r.Code != 0 {
				t.Fatalf("c%d: %s", i, r)
			}
		}
		if running := strings.Fields(l.Moss("ps", "-q").OK(t)); len(running) != n {
			t.Errorf("%d run, want %d", len(running), n)
		}
		for _, i := range []int{0, n / 2, n - 1} {
			harness.Eventually(t, harness.Patience, "the log is written", func() bool {
				return l.Moss("logs", fmt.Sprintf("c%d", i)).Stdout == fmt.Sprintf("line %d\n", i)
			})
		}
		l.Sh("moss", `$moss stop $($moss ps -q)`).OK(t)
		if running := l.Moss("ps", "-q").OK(t); running != "" {
			t.Errorf("after stop still run: %s", running)
		}
		l.Sh("moss", `$moss rm $($moss ps -aq)`).OK(t)
	})
}
