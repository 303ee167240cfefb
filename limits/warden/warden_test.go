package warden

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/delegate"
	"github.com/moss-sandbox/moss/limits/limitstest"
	"github.com/moss-sandbox/moss/userns/sys"
)

func TestMain(m *testing.M) { os.Exit(limitstest.Main(m)) }

// places are the rungs of this host: always the one with nothing, and what it delegates.
func places(t *testing.T, body func(t *testing.T, place delegate.Place)) {
	t.Helper()
	t.Run("nothing", func(t *testing.T) { body(t, delegate.Place{Rung: limits.RungNone}) })
	t.Run("best", func(t *testing.T) {
		place := delegate.Enter(context.Background(), delegate.Options{
			Unit: "mosstest-" + strconv.Itoa(os.Getpid()) + ".scope",
			Join: os.Getenv("MOSS_TEST_CGROUP1") == "1", // only on a machine of its own: the groups lie below this process's
		})
		if place.Rung == limits.RungNone {
			t.Skip("this host delegates nothing") // tests/harness has one that does
		}
		t.Logf("rung %s", place.Rung)
		body(t, place)
	})
}

// start makes a warden and a container in its leaf.
func start(t *testing.T, place delegate.Place, c Config, role string) (*Warden, *limitstest.Container) {
	t.Helper()
	c.ID = strings.ReplaceAll(t.Name(), "/", "-")
	w, err := New(place, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(w.Kill(), w.Remove(ctx)); err != nil {
			t.Error(err)
		}
	})
	holder, leaf, err := w.Leaves()
	if err != nil {
		t.Fatal(err)
	}
	joins, err := w.Joins()
	if err != nil {
		t.Fatal(err)
	}
	container := limitstest.Start(t, role, limitstest.Joining(joins), func(c *exec.Cmd) {
		c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = leaf >= 0, leaf
	})
	for _, f := range joins {
		f.Close()
	}
	for _, fd := range []int{holder, leaf} {
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
	if err := w.Born(container.Pid); err != nil {
		t.Fatal(err)
	}
	return w, container
}

func TestMemory(t *testing.T) {
	places(t, func(t *testing.T, place delegate.Place) {
		told := make(chan bool, 10)
		w, c := start(t, place, Config{Limits: limits.Limits{Memory: 100 << 20}, OOM: func() { told <- true }}, "hog 250")
		if got := c.Signal(); got != syscall.SIGKILL || !w.OOMKilled() {
			t.Fatalf("ended by %v, OOMKilled %v", got, w.OOMKilled())
		}
		if w.Plan().Enforced["memory"] == limits.ByWatchdog && (len(told) != 1 || !w.State().OOM) {
			t.Fatalf("told %d times", len(told))
		}
	})
}

func TestUpdate(t *testing.T) {
	places(t, func(t *testing.T, place delegate.Place) {
		w, c := start(t, place, Config{Limits: limits.Limits{Memory: 400 << 20, Cpuset: "0"}}, "hog 150")
		if w.OOMKilled() {
			t.Fatal("killed too early")
		}
		if _, err := w.Update(limits.Limits{Memory: 4 << 20}); err == nil || err.Error() != "Minimum memory limit allowed is 6MB" {
			t.Fatal(err)
		}
		if plan, err := w.Update(limits.Limits{Shares: 512}); err != nil || plan.Late {
			t.Fatal(plan, err)
		}
		if _, err := w.Update(limits.Limits{Memory: 80 << 20, Swap: 80 << 20}); err != nil {
			t.Fatal(err)
		}
		if got := c.Signal(); got != syscall.SIGKILL || !w.OOMKilled() {
			t.Fatalf("ended by %v, OOMKilled %v", got, w.OOMKilled())
		}
		if l := w.State().Limits; l.Memory != 80<<20 || l.Shares != 512 || l.Cpuset != "0" {
			t.Fatalf("%+v", l)
		}
	})
}

func TestUpdateOfTheCPUs(t *testing.T) {
	place := delegate.Place{Rung: limits.RungNone}
	w, c := start(t, place, Config{}, "spin")
	if _, err := w.Update(limits.Limits{Cpuset: "0", Shares: 400}); err != nil {
		t.Fatal(err)
	}
	if cpus, err := sys.Affinity(c.Pid); err != nil || len(cpus) != 1 || cpus[0] != 0 {
		t.Fatal(cpus, err)
	}
	if prio, err := syscall.Getpriority(syscall.PRIO_PROCESS, c.Pid); err != nil || 20-prio != ownNice()+4 {
		t.Fatal(20-prio, err)
	}
	if got := w.Nice(); got != ownNice()+4 {
		t.Fatal(got)
	}
	if _, err := w.Update(limits.Limits{Cpuset: "4000"}); err == nil || !strings.HasPrefix(err.Error(), "Requested CPUs are not available") {
		t.Fatal(err)
	}
}

func TestPause(t *testing.T) {
	places(t, func(t *testing.T, place delegate.Place) {
		w, c := start(t, place, Config{Limits: limits.Limits{CPUs: limits.OneCPU / 2}}, "spins 1")
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for range 2 {
			if err := w.Pause(ctx); err != nil {
				t.Fatal(err)
			}
			quiet := ticks(t, c)
			limitstest.Await(t, "rest", func() bool { // SIGSTOP is on its way
				last := quiet
				time.Sleep(100 * time.Millisecond)
				quiet = ticks(t, c)
				return quiet == last
			})
			before := quiet
			time.Sleep(400 * time.Millisecond)
			if after := ticks(t, c); after != before || !w.State().Paused {
				t.Fatalf("used %d ticks while paused", after-before)
			}
			if err := w.Unpause(); err != nil {
				t.Fatal(err)
			}
			limitstest.Await(t, "work", func() bool { return ticks(t, c) > before })
		}
		if err := errors.Join(w.Pause(ctx), w.Kill()); err != nil {
			t.Fatal(err)
		}
		if got := c.Signal(); got != syscall.SIGKILL {
			t.Fatalf("ended by %v", got)
		}
	})
}

// ticks is the CPU time of the container's tree, as the host sees its first process's child.
func ticks(t *testing.T, c *limitstest.Container) uint64 {
	t.Helper()
	w := &Warden{pid: c.Pid}
	set, err := w.open()
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	pids, _ := set.Pids()
	var sum uint64
	for _, pid := range pids {
		st, _ := set.Status(pid)
		sum += st.Ticks
	}
	return sum
}

func TestASuccessorContinuesWhatWasPaused(t *testing.T) {
	place := delegate.Place{Rung: limits.RungNone}
	first, c := start(t, place, Config{Limits: limits.Limits{Memory: 1 << 30}}, "spins 1")
	if err := first.Pause(context.Background()); err != nil {
		t.Fatal(err)
	}
	first.Leave()
	second := Adopt(place, Config{}, first.State())
	if err := second.Born(c.Pid); err != nil {
		t.Fatal(err)
	}
	defer second.Leave()
	before := ticks(t, c)
	if err := second.Unpause(); err != nil || second.State().Paused {
		t.Fatal(err)
	}
	limitstest.Await(t, "work", func() bool { return ticks(t, c) > before })
}

func TestStoragePausesAFullContainer(t *testing.T) {
	dir, told := t.TempDir(), make(chan int64, 10)
	config := Config{Limits: limits.Limits{Storage: limits.Storage{Size: 1 << 20}}, Upper: dir, Full: func(used int64) { told <- used }}
	w, _ := start(t, delegate.Place{Rung: limits.RungNone}, config, "spins 1")
	if err := os.WriteFile(dir+"/big", make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if used := <-told; used < 2<<20 || !w.State().Paused {
		t.Fatal(used, w.State().Paused)
	}
	if _, err := w.Update(limits.Limits{Storage: limits.Storage{Size: 10 << 20}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Unpause(); err != nil {
		t.Fatal(err)
	}
}

func TestStrictAndBudget(t *testing.T) {
	place := delegate.Place{Rung: limits.RungNone}
	var strict *limits.StrictError
	if _, err := New(place, Config{Limits: limits.Limits{Memory: 100 << 20}, Strict: true}); !errors.As(err, &strict) {
		t.Fatal(err)
	}
	w, err := New(place, Config{Budget: limits.Budget{Memory: 100 << 20}, Strict: true})
	if err != nil || w.Plan().Watch.Memory != 100<<20 || len(w.Plan().Weak) != 0 {
		t.Fatalf("%+v, %v", w.Plan(), err)
	}
	w, err = New(place, Config{})
	if err != nil || len(w.Plan().Enforced) != 0 {
		t.Fatalf("%+v, %v", w.Plan(), err)
	}
}

func TestAnEndedContainerIsNoError(t *testing.T) {
	place := delegate.Place{Rung: limits.RungNone}
	c := limitstest.Start(t, "sleep")
	c.Process.Kill()
	c.Wait()
	w, err := New(place, Config{Limits: limits.Limits{Memory: 100 << 20, CPUs: limits.OneCPU / 2}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Born(c.Pid), w.Remove(context.Background())); err != nil {
		t.Fatal(err)
	}
}
