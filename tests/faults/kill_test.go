//go:build faults

package faults

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// eachLogin runs f as every account with a busybox root in ./root; afterwards nothing may be left.
func eachLogin(t *testing.T, f func(t *testing.T, l *harness.Login)) {
	t.Helper()
	harness.RequireUserNamespaces(t)
	for _, account := range harness.Accounts(t) {
		t.Run(account.Name, func(t *testing.T) {
			l := account.Login(t)
			harness.Nothing(t, l)
			l.BusyboxRoot()
			f(t, l)
		})
	}
}

// detached starts a container that lives until it is told to end.
func detached(t *testing.T, l *harness.Login, name string, args ...string) {
	t.Helper()
	if len(args) == 0 {
		args = []string{"sleep", "1000"}
	}
	l.Moss(append([]string{"run", "-d", "--network", "none", "--name", name, "./root"}, args...)...).OK(t)
}

// kill9 kills every process of the login that has this name; there must be one.
func kill9(t *testing.T, l *harness.Login, name string) {
	t.Helper()
	pids := l.Running(name)
	if len(pids) == 0 {
		t.Fatalf("no %s runs", name)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}

// wantWhole wants that the container can be used in every way, then removes it.
func wantWhole(t *testing.T, l *harness.Login, name string) {
	t.Helper()
	l.Moss("ps", "--format", "{{.Names}}").Want(t, harness.Result{Stdout: name + "\n"})
	l.Moss("exec", name, "echo", "in").Want(t, harness.Result{Stdout: "in\n"})
	l.Moss("run", "--rm", "--network", "none", "./root", "echo", "another").Want(t, harness.Result{Stdout: "another\n"})
	l.Moss("rm", "-f", name).Want(t, harness.Result{Stdout: name + "\n"})
}

func TestKeeperKilled(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		detached(t, l, "cc")
		kill9(t, l, "moss-keeper")
		wantWhole(t, l, "cc")
	})
}

func TestSupervisorIsBackWithinASecond(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		detached(t, l, "cc")
		kill9(t, l, "moss-supervisor")
		harness.Eventually(t, 3*time.Second, "a supervisor is back without a moss command", func() bool { return len(l.Running("moss-supervisor")) == 1 })
		wantWhole(t, l, "cc")
	})
}

func TestHolderKilled(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		detached(t, l, "cc")
		kill9(t, l, "moss-holder")
		l.Moss("ps", "--format", "{{.Names}}").Want(t, harness.Result{Stdout: "cc\n"})
		l.Moss("exec", "cc", "echo", "in").Want(t, harness.Result{Stdout: "in\n"})
		l.Moss("kill", "cc").OK(t)
		harness.Eventually(t, 10*time.Second, "c is told to have ended", func() bool {
			return l.Moss("inspect", "-f", "{{.State.Status}}", "cc").Stdout == "exited\n"
		})
		l.Moss("rm", "cc").OK(t)
	})
}

func TestClientKilled(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		cmd := l.Command("moss", "run", "--name", "fg", "--network", "none", "./root", "sh", "-c", "echo first; sleep 2; echo last; exit 4")
		cmd.Stdout = new(bytes.Buffer)
		go func() { l.Do(cmd) }()
		harness.Eventually(t, 10*time.Second, "fg runs", func() bool { return len(l.Running("moss-holder")) == 1 })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 20*time.Second, "the exit code is kept", func() bool {
			return l.Moss("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "fg").Stdout == "exited 4\n"
		})
		l.Moss("logs", "fg").Want(t, harness.Result{Stdout: "first\nlast\n"})
		l.Moss("rm", "fg").OK(t)
	})
}

func TestEverythingOfMossKilledAtOnce(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		detached(t, l, "cc")
		for _, name := range []string{"moss-supervisor", "moss-keeper", "moss-holder"} {
			kill9(t, l, name)
		}
		wantWhole(t, l, "cc")
	})
}

// 1,000,000 numbered lines to each stream while the supervisor is killed six times: nothing is lost, doubled or mixed.
func TestMillionLines(t *testing.T) {
	const lines = 1_000_000
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Patience = 4 * harness.Patience
		detached(t, l, "mm", "sh", "-c", fmt.Sprintf("seq 1 %d & seq 1 %d >&2; wait; exit 7", lines, lines))
		for range 6 {
			harness.Eventually(t, 5*time.Second, "a supervisor serves", func() bool { return len(l.Running("moss-guard")) > 0 })
			time.Sleep(100 * time.Millisecond)
			for _, pid := range l.Running("moss-supervisor") {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		harness.Eventually(t, 2*harness.Patience, "the exit code is kept", func() bool {
			return l.Moss("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "mm").Stdout == "exited 7\n"
		})
		want, err := exec.Command("seq", "1", fmt.Sprint(lines)).Output()
		if err != nil {
			t.Fatal(err)
		}
		r := l.Moss("logs", "mm")
		for stream, got := range map[string]string{"stdout": r.Stdout, "stderr": r.Stderr} {
			if got != string(want) {
				t.Errorf("%s differs: %d bytes, want %d; first difference in line %d", stream, len(got), len(want), firstDifference(got, string(want)))
			}
		}
		l.Moss("rm", "mm").OK(t)
	})
}

func firstDifference(a, b string) int {
	x, y := strings.SplitAfter(a, "\n"), strings.SplitAfter(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return i + 1
		}
	}
	return min(len(x), len(y)) + 1
}
