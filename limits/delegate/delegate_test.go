//go:build host

package delegate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/cgroup"
	"github.com/moss-sandbox/moss/limits/delegate"
	"github.com/moss-sandbox/moss/limits/host"
	"github.com/moss-sandbox/moss/limits/limitstest"
	"github.com/moss-sandbox/moss/limits/stats"
	"github.com/moss-sandbox/moss/limits/systemd"
	"github.com/moss-sandbox/moss/userns/sys"
)

// These tests need a host that delegates: systemd with a user manager, as tests/harness boots it, or Delegate=yes. They make
// one scope for this process, which is gone when the process is.

func TestMain(m *testing.M) { os.Exit(limitstest.Main(m)) }

// unit is the scope of this run. Its name begins like a controller, which systemd escapes in the path.
func unit() string { return fmt.Sprintf("pids-mosstest-%d.scope", os.Getpid()) }

// rungVariable forces a rung, for hosts that have several: MOSS_TEST_RUNG=own.
const rungVariable = "MOSS_TEST_RUNG"

// enter takes the best rung or skips the test.
func enter(t *testing.T) delegate.Place {
	t.Helper()
	place := delegate.Enter(context.Background(), delegate.Options{Unit: unit(), Only: limits.Rung(os.Getenv(rungVariable))})
	if place.Rung == limits.RungNone {
		limitstest.Missing(t, "no cgroup to be had: %v", place.Refused)
	}
	return place
}

// group makes a container's cgroup with limits, all of them in force, and removes it at the end.
func group(t *testing.T, place delegate.Place, l limits.Limits) cgroup.Group {
	t.Helper()
	facts, err := host.Facts(place, l)
	if err != nil {
		t.Fatal(err)
	}
	plan := limits.Decide(facts, l)
	for name, mechanism := range plan.Enforced {
		if mechanism != limits.ByCgroup && mechanism != limits.ByHost {
			limitstest.Missing(t, "%s is not delegated", name)
		}
	}
	g, err := place.Tree.Create(fmt.Sprintf("%s-%d", t.Name(), l.Shares), plan.Values)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(g.Kill(), g.Remove(ctx)); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(g.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there", g.Dir)
		}
	})
	return g
}

// born starts a role in the container's leaf.
func born(t *testing.T, g cgroup.Group, role string) *limitstest.Container {
	t.Helper()
	leaf, err := g.LeafFD()
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leaf)
	return limitstest.Start(t, role, func(c *exec.Cmd) { c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = true, leaf })
}

func TestEnterIsRepeatable(t *testing.T) {
	place, again := enter(t), enter(t)
	own, err := cgroup.Own()
	if err != nil || place.Tree.Dir != again.Tree.Dir || own != place.Tree.Dir+place.Tree.Supervisor() {
		t.Fatalf("%+v, then %+v; now in %s, %v", place, again, own, err)
	}
	if place.Rung == limits.RungScope && !strings.HasSuffix(place.Tree.Dir, "/_"+unit()) && !strings.HasSuffix(place.Tree.Dir, "/"+unit()) {
		t.Errorf("scope lies in %s", place.Tree.Dir)
	}
	for _, c := range []string{"memory", "pids", "cpu"} {
		if !slices.Contains(place.Tree.Controllers, c) {
			t.Errorf("no %s in %v", c, place.Tree.Controllers)
		}
	}
}

func TestMemoryLimitKills(t *testing.T) {
	g := group(t, enter(t), limits.Limits{Memory: 100 << 20})
	c := born(t, g, "hog 300")
	if got := c.Signal(); got != syscall.SIGKILL {
		t.Fatalf("ended by %v", got)
	}
	if n, err := g.OOMKills(); err != nil || n == 0 {
		t.Fatalf("OOM kills %d, %v", n, err)
	}
	born(t, g, "hog 20") // fits, and the group serves a second life
	if u, err := g.Usage(); err != nil || u.Max != 100<<20 {
		t.Fatalf("%+v, %v", u, err)
	}
}

func TestUpdateChangesARunningContainer(t *testing.T) {
	g := group(t, enter(t), limits.Limits{Memory: 200 << 20})
	c := born(t, g, "hog 120")
	limitstest.Await(t, "120 MB", func() bool { u, _ := g.Usage(); return u.Memory > 120<<20 })
	if err := g.Update([]limits.Value{{File: "memory.swap.max", Text: "0"}, {File: "memory.max", Text: "83886080"}}); err != nil {
		t.Fatal(err)
	}
	if got := c.Signal(); got != syscall.SIGKILL {
		t.Fatalf("ended by %v", got)
	}
}

func TestPidsLimitStopsABomb(t *testing.T) {
	g := group(t, enter(t), limits.Limits{Pids: 20})
	born(t, g, "bomb 100")
	limitstest.Await(t, "refused forks", func() bool { n, _ := g.Refused(); return n > 10 })
	if u, err := g.Usage(); err != nil || u.Pids > 20 {
		t.Fatalf("%d tasks, %v", u.Pids, err)
	}
}

func TestFreezeThawKill(t *testing.T) {
	g := group(t, enter(t), limits.Limits{})
	c := born(t, g, "spins 1")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := g.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	if frozen, err := g.Frozen(); err != nil || !frozen {
		t.Fatal(frozen, err)
	}
	before, _ := g.Usage()
	time.Sleep(500 * time.Millisecond)
	if after, _ := g.Usage(); after.CPU != before.CPU {
		t.Fatalf("used %d ns while frozen", after.CPU-before.CPU)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	limitstest.Await(t, "work", func() bool { u, _ := g.Usage(); return u.CPU > before.CPU })
	if err := errors.Join(g.Freeze(ctx), g.Kill()); err != nil {
		t.Fatal(err)
	}
	if got := c.Signal(); got != syscall.SIGKILL {
		t.Fatalf("ended by %v", got)
	}
}

// cpuOver measures what groups use over some seconds.
func cpuOver(t *testing.T, d time.Duration, groups ...cgroup.Group) []float64 {
	t.Helper()
	used := make([]float64, len(groups))
	read := func(sign float64) {
		for i, g := range groups {
			u, err := g.Usage()
			if err != nil {
				t.Fatal(err)
			}
			used[i] += sign * float64(u.CPU) / 1e9
		}
	}
	time.Sleep(2 * time.Second) // until the loops run
	read(-1)
	time.Sleep(d)
	read(1)
	return used
}

// TestSharesDivideOneCPU needs single-threaded loads: a Go loop is disturbed by its own runtime.
func TestSharesDivideOneCPU(t *testing.T) {
	place := enter(t)
	var groups []cgroup.Group
	for _, shares := range []int64{400, 1600} {
		g := group(t, place, limits.Limits{Shares: shares})
		if err := sys.SetAffinity(born(t, g, "loop").Pid, []int{0}); err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	used := cpuOver(t, 10*time.Second, groups...)
	share := 100 * used[0] / (used[0] + used[1])
	if want := 100 * 49.0 / (49 + 143); math.Abs(share-want) > 3 {
		t.Fatalf("%.1f : %.1f, want %.1f", share, 100-share, want)
	}
	t.Logf("%.1f : %.1f", share, 100-share)
}

func TestCPULimit(t *testing.T) {
	g := group(t, enter(t), limits.Limits{CPUs: limits.OneCPU / 2})
	born(t, g, "loop")
	if used := cpuOver(t, 6*time.Second, g)[0] / 6; used < 0.35 || used > 0.55 {
		t.Fatalf("used %.3f CPUs, limit 0.5", used)
	}
}

func TestCpuset(t *testing.T) {
	g := group(t, enter(t), limits.Limits{Cpuset: "0"})
	c := born(t, g, "sleep")
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Pid))
	if !strings.Contains(string(text), "Cpus_allowed_list:\t0\n") {
		t.Fatal("may run elsewhere")
	}
}

func TestStatsAgreeWithTheFiles(t *testing.T) {
	g := group(t, enter(t), limits.Limits{Memory: 200 << 20})
	c := born(t, g, "hog 50")
	limitstest.Await(t, "50 MB", func() bool { u, _ := g.Usage(); return u.Memory > 50<<20 })
	source, err := stats.Open(stats.Container{Pid: c.Pid, Group: &g})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	sample, err := source.Sample(stats.ReadMachine())
	u, _ := g.Usage()
	if err != nil || sample.Limit != 200<<20 || math.Abs(float64(sample.Memory)-float64(u.Memory)) > 1<<20 || sample.Pids != u.Pids {
		t.Fatalf("%+v, files say %+v, %v", sample, u, err)
	}
}

// TestIOLimitSlowsWrites needs the io controller, which stock systemd does not delegate, and a disk below /var/tmp.
func TestIOLimitSlowsWrites(t *testing.T) {
	dir, err := os.MkdirTemp("/var/tmp", "moss-io")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	major, minor := sys.Device(st.Dev)
	disk, err := filepath.EvalSymlinks(fmt.Sprintf("/dev/block/%d:%d", major, minor))
	if err != nil {
		limitstest.Missing(t, "no disk below /var/tmp: %v", err)
	}
	const rate = 200 << 10
	g := group(t, enter(t), limits.Limits{WriteBps: limits.BytesRates{{Path: disk, Rate: rate}}})
	born(t, g, "copy "+filepath.Join(dir, "file"))
	time.Sleep(time.Second)
	before, _ := g.Usage()
	time.Sleep(5 * time.Second)
	if after, err := g.Usage(); err != nil || after.Write == before.Write || after.Write-before.Write > 2*5*rate {
		t.Fatalf("wrote %d bytes in 5 s, %v", after.Write-before.Write, err)
	}
}

func TestAFullGroupRefusesBirth(t *testing.T) {
	g := group(t, enter(t), limits.Limits{Pids: 1})
	leaf, err := g.LeafFD()
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leaf)
	cmd := func() *exec.Cmd {
		c := exec.Command("/bin/sleep", "100")
		c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: leaf}
		return c
	}
	first, second := cmd(), cmd()
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer first.Wait()
	defer first.Process.Kill()
	if err := second.Start(); !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
	if n, err := g.Refused(); err != nil || n == 0 {
		t.Fatal(n, err)
	}
}

func TestBudgetIsTheManagers(t *testing.T) {
	place := enter(t)
	if place.Rung != limits.RungScope {
		limitstest.Missing(t, "no scope: %v", place.Refused)
	}
	read := func(file string) string {
		text, _ := os.ReadFile(filepath.Join(place.Tree.Dir, file))
		return strings.TrimSpace(string(text))
	}
	if got := read("pids.max"); got != "max" {
		t.Errorf("pids.max %s without a budget", got)
	}
	if err := delegate.Budget(context.Background(), unit(), limits.Budget{Memory: 300 << 20, CPUs: limits.OneCPU / 2, Pids: 500}); err != nil {
		t.Fatal(err)
	}
	if got := read("memory.max") + ", " + read("cpu.max") + ", " + read("pids.max"); got != "314572800, 50000 100000, 500" {
		t.Error(got)
	}
	if err := delegate.Budget(context.Background(), unit(), limits.Budget{}); err != nil || read("memory.max") != "max" || read("cpu.max") != "max 100000" {
		t.Errorf("%v, %s, %s", err, read("memory.max"), read("cpu.max"))
	}
}

// TestASecondProcessJoins has systemd start this binary in another scope; it must end up beside us.
func TestASecondProcessJoins(t *testing.T) {
	place := enter(t)
	if place.Rung != limits.RungScope || os.Getuid() == 0 {
		limitstest.Missing(t, "no scope of a user: %v", place.Refused)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-run", "--user", "--scope", "--quiet", "--setenv=MOSS_TEST_JOIN="+unit(),
		exe, "-test.run", "^TestJoinHelper$", "-test.v").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "joined "+place.Tree.Dir) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestJoinHelper is the other side of TestASecondProcessJoins.
func TestJoinHelper(t *testing.T) {
	name := os.Getenv("MOSS_TEST_JOIN")
	if name == "" {
		return
	}
	place := delegate.Enter(context.Background(), delegate.Options{Unit: name, Only: limits.RungScope})
	if len(place.Refused) > 0 {
		t.Fatal(place.Refused)
	}
	t.Log("joined", place.Tree.Dir)
	c := born(t, group(t, place, limits.Limits{}), "sleep") // only a process inside may
	if dir, err := cgroup.Of(fmt.Sprint(c.Pid)); err != nil || !strings.HasPrefix(dir, place.Tree.Dir) {
		t.Fatal(dir, err)
	}
}

func TestNoSuchUnit(t *testing.T) {
	bus, err := systemd.Dial(context.Background(), systemd.UserBus())
	if err != nil {
		limitstest.Missing(t, "no bus: %v", err)
	}
	defer bus.Close()
	if _, err := bus.ControlGroup(context.Background(), "moss-has-no-such.scope"); !errors.Is(err, systemd.ErrNoUnit) {
		t.Fatal(err)
	}
}

// TestNothingIsDelegatedHere is the answer of a host that gives nothing.
func TestNothingIsDelegatedHere(t *testing.T) {
	if host.Expect().Rung != limits.RungNone {
		t.Skip("this host delegates")
	}
	before, _ := cgroup.Own()
	place := delegate.Enter(context.Background(), delegate.Options{})
	after, _ := cgroup.Own()
	if place.Rung != limits.RungNone || len(place.Refused) != 3 || before != after {
		t.Fatalf("%+v, from %s to %s", place, before, after)
	}
	if only := delegate.Enter(context.Background(), delegate.Options{Only: limits.RungOwn}); len(only.Refused) != 1 || only.Refused[0].Rung != limits.RungOwn {
		t.Fatalf("%+v", only)
	}
}
