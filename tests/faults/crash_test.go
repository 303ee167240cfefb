//go:build faults

package faults

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

// points chooses the calls at which the client is killed: all of them, or a sample drawn with the seed.
func points(t *testing.T, calls int) []int {
	t.Helper()
	sample, seed := number(t, "MOSS_FAULT_SAMPLE", 25), number(t, "MOSS_FAULT_SEED", 1)
	all := rand.New(rand.NewPCG(uint64(seed), 0)).Perm(calls)
	for i := range all {
		all[i]++
	}
	if sample == 0 || sample > calls {
		return all
	}
	return all[:sample]
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// crashEverywhere runs before, then the command with the client killed at each chosen call, then after.
func crashEverywhere(t *testing.T, command []string, before, after func(t *testing.T, l *harness.Login)) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		before(t, l)
		whole := l.CrashAt(0, "moss", command...)
		if whole.Code != 0 {
			t.Fatalf("without a crash: %s", whole.Result)
		}
		after(t, l)
		for _, n := range points(t, whole.Calls) {
			t.Run(strconv.Itoa(n), func(t *testing.T) {
				before(t, l)
				l.CrashAt(n, "moss", command...)
				after(t, l)
				l.WantNothing()
			})
		}
	})
}

func nothing(*testing.T, *harness.Login) {}

// retry wants that whatever the crash left is told quickly, can be removed, and that the same name runs again.
func retry(t *testing.T, l *harness.Login) {
	t.Helper()
	if r := l.Moss("ps", "-a"); r.Code != 0 || r.Stderr != "" || r.Took > 5*time.Second {
		t.Errorf("ps after the crash: %s in %v", r, r.Took)
	}
	l.Moss("rm", "-f", "xx") // there or not
	l.Moss("run", "--name", "xx", "--network", "none", "./root", "echo", "again").Want(t, harness.Result{Stdout: "again\n"})
	l.Moss("rm", "xx").Want(t, harness.Result{Stdout: "xx\n"})
	l.Moss("ps", "-aq").Want(t, harness.Result{})
}

func TestCrashInRun(t *testing.T) {
	crashEverywhere(t, []string{"run", "--name", "xx", "--network", "none", "./root", "echo", "hello"}, nothing, retry)
}

func TestCrashInRunAndRemove(t *testing.T) {
	crashEverywhere(t, []string{"run", "--rm", "--name", "xx", "--network", "none", "./root", "echo", "hello"}, nothing, retry)
}

func TestCrashInRunDetached(t *testing.T) {
	crashEverywhere(t, []string{"run", "-d", "--name", "xx", "--network", "none", "./root", "sleep", "1000"}, nothing, retry)
}

func TestCrashInRemove(t *testing.T) {
	stopped := func(t *testing.T, l *harness.Login) {
		l.Moss("run", "--name", "xx", "--network", "none", "./root", "true").OK(t)
	}
	crashEverywhere(t, []string{"rm", "xx"}, stopped, retry)
}

func TestCrashInForcedRemove(t *testing.T) {
	running := func(t *testing.T, l *harness.Login) { detached(t, l, "xx") }
	crashEverywhere(t, []string{"rm", "-f", "xx"}, running, retry)
}

// The container does not notice that an exec's client dies.
func TestCrashInExec(t *testing.T) {
	running := func(t *testing.T, l *harness.Login) { detached(t, l, "xx") }
	unharmed := func(t *testing.T, l *harness.Login) {
		l.Moss("exec", "xx", "echo", "in").Want(t, harness.Result{Stdout: "in\n"})
		l.Moss("rm", "-f", "xx").Want(t, harness.Result{Stdout: "xx\n"})
	}
	crashEverywhere(t, []string{"exec", "xx", "echo", "hello"}, running, unharmed)
}
