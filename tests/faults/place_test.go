//go:build faults

package faults

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

// 200 at once, of which a third are killed at a moment of their own: nothing is left of any.
func TestManyOfWhichAThirdAreKilled(t *testing.T) {
	harness.RequireRoot(t)
	l := harness.Named(t, "subids").Login(t)
	harness.Nothing(t, l)
	l.BusyboxRoot()
	l.Patience = 5 * harness.Patience
	var all sync.WaitGroup
	for i := range 200 {
		cmd := l.Command("moss", "run", "--rm", "--network", "none", "./root", "sh", "-c", "sleep 1; exit 3")
		kill := i%3 == 0
		all.Go(func() {
			if !kill {
				if r := l.Do(cmd); r.Code != 3 || r.Stdout != "" {
					t.Errorf("one that was not killed: %s", r)
				}
				return
			}
			time.AfterFunc(time.Duration(rand.IntN(3000))*time.Millisecond, func() {
				if cmd.Process != nil {
					_ = cmd.Process.Kill()
				}
			})
			l.Do(cmd)
		})
	}
	all.Wait()
	harness.Eventually(t, harness.Patience, "the killed ones are settled", func() bool { return l.Moss("ps", "-aq").Stdout == "" })
}

// Fault 28: the runtime directory is swept away under a running container.
func TestRuntimeDirectoryWiped(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		detached(t, l, "cc")
		for _, dir := range []string{l.Runtime + "/moss", l.Data() + "/run"} {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		wantWhole(t, l, "cc")
	})
}

// state is the path of a container's state file.
func state(t *testing.T, l *harness.Login, name string) string {
	t.Helper()
	return l.Data() + "/containers/" + strings.TrimSpace(l.Moss("inspect", "-f", "{{.Id}}", name).OK(t)) + "/state.json"
}

// Fault 23: a recorded pid that is somebody else's by now is never signalled.
func TestPIDOfAForeignProcess(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		l.Moss("run", "--name", "cc", "--network", "none", "./root", "true").OK(t)
		foreign := l.Command("sleep", "1000")
		if err := foreign.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = foreign.Process.Kill(); _ = foreign.Wait() }()
		path := state(t, l, "cc")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(b, &fields); err != nil {
			t.Fatal(err)
		}
		fields["status"] = "running"
		for _, who := range []string{"guest", "holder"} {
			fields[who].(map[string]any)["pid"] = foreign.Process.Pid
		}
		if b, err = json.Marshal(fields); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
		l.Moss("ps", "-q").Want(t, harness.Result{})
		l.Moss("rm", "-f", "cc").OK(t)
		if err := foreign.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("the foreign process: %v", err)
		}
	})
}

// Fault 25: a state file that is cut, empty, garbage or something else than a file costs that container alone.
func TestBrokenStateFiles(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		detached(t, l, "good")
		l.Moss("run", "--name", "bad", "--network", "none", "./root", "true").OK(t)
		path := state(t, l, "bad")
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		contents := [][]byte{nil, []byte("\x00\x00\x00"), []byte("garbage\n"), []byte("[]\n"), []byte(`{"v":1,"status":7}` + "\n")}
		for cut := 1; cut < len(whole)-1; cut += 97 {
			contents = append(contents, whole[:cut])
		}
		for _, content := range contents {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			r := l.Moss("ps", "--format", "{{.Names}}")
			if !strings.Contains(r.Stdout, "good\n") || strings.Contains(r.Stderr, "goroutine") {
				t.Fatalf("with a state of %q: %s", content, r)
			}
		}
		l.Moss("exec", "good", "echo", "in").Want(t, harness.Result{Stdout: "in\n"})
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		l.Moss("rm", "-f", "good", "bad").OK(t)
	})
}

// Fault 15: few descriptors are an answer or enough, never half a container.
func TestFewDescriptors(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		for _, n := range []int{12, 16, 24, 32, 48, 64, 80, 96} {
			r := l.Sh("moss", fmt.Sprintf(`ulimit -n %d; $moss run --rm --network none ./root echo hi`, n))
			fits := r.Code == 0 && r.Stdout == "hi\n"
			if refused := r.Code == 125 && strings.HasPrefix(r.Stderr, "moss: "); !fits && !refused {
				t.Errorf("ulimit -n %d: %s", n, r)
			}
			if n >= 96 && !fits {
				t.Errorf("ulimit -n %d: %s", n, r)
			}
		}
		l.Moss("ps", "-aq").Want(t, harness.Result{})
	})
}

// Fault 19: with a data root that became read-only everything that only looks works, and so does exec.
func TestReadOnlyDataRoot(t *testing.T) {
	harness.RequireRoot(t)
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		detached(t, l, "cc", "sh", "-c", "echo out; sleep 1000")
		harness.Eventually(t, harness.Patience, "there is a log", func() bool { return l.Moss("logs", "cc").Stdout == "out\n" })
		for _, c := range []struct{ command, want string }{
			{"ps --format {{.Names}}", "cc\n"},
			{"logs cc", "out\n"},
			{"inspect -f {{.State.Status}} cc", "running\n"},
			{"exec cc echo in", "in\n"},
		} {
			line := fmt.Sprintf(`mount --bind %[1]s %[1]s && mount -o remount,ro,bind %[1]s && exec setpriv --reuid %d --regid %d --init-groups %s %s`,
				l.Data(), l.Account.UID, l.Account.GID, l.Command("moss").Path, c.command)
			cmd := exec.Command("unshare", "-m", "sh", "-c", line)
			cmd.Env, cmd.Dir = l.Env, l.Work
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != c.want {
				t.Errorf("%s: %v: %q", c.command, err, out)
			}
		}
		l.Moss("rm", "-f", "cc").OK(t)
	})
}
