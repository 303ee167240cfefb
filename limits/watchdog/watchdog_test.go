package watchdog

import (
	"context"
	"math"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/limitstest"
	"github.com/moss-sandbox/moss/limits/procs"
)

func TestMain(m *testing.M) { os.Exit(limitstest.Main(m)) }

func open(t *testing.T, c *limitstest.Container) *procs.Set {
	t.Helper()
	s, err := procs.Open(c.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// watch runs a watchdog until the test ends and returns what it killed.
func watch(t *testing.T, c *limitstest.Container, limit limits.Watch) (*Memory, <-chan Kill) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	kills, done := make(chan Kill, 100), make(chan struct{})
	m := NewMemory(open(t, c), limit, func(k Kill) { kills <- k })
	go func() { m.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return m, kills
}

func TestMemoryKillsAHog(t *testing.T) {
	c := limitstest.Start(t, "hog 200")
	_, kills := watch(t, c, limits.Watch{Memory: 100 << 20})
	if got := c.Signal(); got != syscall.SIGKILL {
		t.Fatalf("ended by %v", got)
	}
	if k := <-kills; k.Pid != 1 || k.Used <= 100<<20 || k.Used > 300<<20 {
		t.Fatalf("told %+v", k)
	}
}

func TestMemoryKillsTheTreeOfManySmall(t *testing.T) {
	c := limitstest.Start(t, "tree 4 50")
	_, kills := watch(t, c, limits.Watch{Memory: 120 << 20})
	for range 2 {
		if k := <-kills; k.Pid == 1 {
			t.Fatalf("killed the parent, which is the smallest: %+v", k)
		}
	}
	s := open(t, c)
	defer s.Close()
	limitstest.Await(t, "the rest to fit", func() bool {
		sum, pids := int64(0), must(s.Pids())
		for _, pid := range pids {
			sum += s.Memory(pid).Proportional
		}
		return sum > 0 && sum < 120<<20
	})
	if c.Process.Signal(syscall.Signal(0)) != nil {
		t.Fatal("the container ended although its first process is small")
	}
}

func TestMemoryLeavesWhatFits(t *testing.T) {
	c := limitstest.Start(t, "tree 2 30")
	m, kills := watch(t, c, limits.Watch{Memory: 200 << 20})
	select {
	case k := <-kills:
		t.Fatalf("killed %+v", k)
	case <-time.After(time.Second):
	}
	m.SetLimit(limits.Watch{Memory: 50 << 20}) // moss update
	select {
	case <-kills:
	case <-time.After(20 * time.Second):
		t.Fatal("the new limit has no effect")
	}
}

func TestMemoryEndsWithTheContainer(t *testing.T) {
	c := limitstest.Start(t, "sleep")
	m := NewMemory(open(t, c), limits.Watch{Memory: 1 << 30}, func(Kill) {})
	done := make(chan struct{})
	go func() { m.Run(context.Background()); close(done) }()
	c.Process.Kill()
	c.Wait()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("still watching")
	}
}

func TestPace(t *testing.T) {
	start := time.Unix(0, 0)
	for _, c := range []struct {
		name        string
		saved, cost time.Duration
		room, grown int64
		want        time.Duration
	}{
		{"much room", burst, 0, 1 << 40, 1 << 30, maxWait},
		{"no room", burst, 0, -5, 1 << 20, minWait},
		{"room for 100 ms", burst, 0, growth / 10, 1 << 20, 100 * time.Millisecond},
		{"the same, calm", burst, 0, growth / 10, 4096, calmWait},
		{"shrinking", burst, 0, 0, -1 << 20, minWait},
		{"nothing saved", 0, 100 * time.Microsecond, 0, 1 << 20, 100 * time.Millisecond},
		{"dear look", 0, time.Second, 0, 1 << 20, maxWait},
	} {
		p := &pace{at: start, saved: c.saved}
		if got := p.next(start, c.cost, c.room, c.grown).Round(time.Microsecond); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPaceKeepsItsBudget(t *testing.T) {
	now := time.Unix(0, 0)
	p, spent := newPace(now), time.Duration(0)
	for now.Before(time.Unix(100, 0)) { // always changing, always at the edge
		const cost = 100 * time.Microsecond
		spent += cost + wake
		now = now.Add(p.next(now, cost, 0, 1<<20))
	}
	if share := (spent - burst).Seconds() / 100; share > 1.02/thrift {
		t.Fatalf("%.2f %% of a CPU", 100*share)
	}
}

// TestDutyBoundsASpinner measures over some seconds; on a busy machine the container may get less, never much more.
func TestDutyBoundsASpinner(t *testing.T) {
	c := limitstest.Start(t, "spins 2")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	d := NewDuty(open(t, c), limits.OneCPU/2)
	go func() { d.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()

	meter := &Duty{set: open(t, c)}
	defer meter.set.Close()
	share := func(d time.Duration) float64 {
		before, start := first(meter.used()), time.Now()
		time.Sleep(d)
		return (first(meter.used()) - before).Seconds() / time.Since(start).Seconds()
	}
	share(500 * time.Millisecond)
	best := share(1500 * time.Millisecond)
	for try := 0; best > 0.58 && try < 5; try++ {
		best = min(best, share(1500*time.Millisecond))
	}
	if best > 0.58 {
		t.Fatalf("used %.2f CPUs, limit 0.5", best)
	}
	before := first(meter.used())
	limitstest.Await(t, "work within the limit", func() bool { return first(meter.used()) > before })
	d.SetLimit(0)
	free := 0 // looks in a row that found nobody stopped; how much CPU they get is the machine's matter
	limitstest.Await(t, "the spinners to run freely", func() bool {
		free++
		if running(meter.set) < 3 {
			free = 0
		}
		return free > 50
	})
}

func TestDutyContinuesWhatAPredecessorStopped(t *testing.T) {
	c := limitstest.Start(t, "spins 1")
	s := open(t, c)
	defer s.Close()
	limitstest.Await(t, "two processes", func() bool { return len(must(s.Pids())) == 2 })
	s.Stop()
	limitstest.Await(t, "both stopped", func() bool { return running(s) == 0 })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { NewDuty(open(t, c), limits.OneCPU).Run(ctx); close(done) }()
	limitstest.Await(t, "both to run", func() bool { return running(s) == 2 })
	cancel()
	<-done
	limitstest.Await(t, "both to run after the end", func() bool { return running(s) == 2 })
}

func running(s *procs.Set) int {
	n := 0
	pids, _ := s.Pids()
	for _, pid := range pids {
		if st, ok := s.Status(pid); ok && st.State != 'T' {
			n++
		}
	}
	return n
}

func TestAccountIsExactInTheLongRun(t *testing.T) {
	now := time.Unix(0, 0)
	a := account{at: now}
	used := time.Duration(0)
	a.charge(limits.OneCPU/4, used, now)
	for now.Before(time.Unix(60, 0)) { // two CPUs at work whenever they are let, read in steps of 10 ms
		if debt := a.charge(limits.OneCPU/4, used.Truncate(10*time.Millisecond), now); debt > 0 {
			now = now.Add(debt)
			continue
		}
		run := a.wait()
		now, used = now.Add(run), used+2*run
	}
	if share := used.Seconds() / 60; math.Abs(share-0.25) > 0.01 {
		t.Fatalf("used %.3f CPUs, limit 0.25", share)
	}
}

func TestAccountForgivesWhatAnEndedProcessTakesAlong(t *testing.T) {
	now := time.Unix(0, 0)
	a := account{at: now}
	a.charge(limits.OneCPU, time.Hour, now)
	if debt := a.charge(limits.OneCPU, 0, now.Add(time.Second)); debt != 0 {
		t.Fatalf("debt %v", debt)
	}
}

func first(d time.Duration, _ int) time.Duration { return d }

func must(pids []int, err error) []int {
	if err != nil {
		panic(err)
	}
	return pids
}

// TestCost is the bound of the design, 0.2 % of a CPU for each container once it has started, with room for a busy virtual
// machine, on which a timer costs several times as much.
func TestCost(t *testing.T) {
	c := limitstest.Start(t, "tree 2 30")
	watch(t, c, limits.Watch{Memory: 200 << 20})
	time.Sleep(time.Second)
	const wall = 2 * time.Second
	best := 100.0
	for try := 0; try < 4 && best > 1; try++ {
		before := cpuTime()
		time.Sleep(wall)
		best = min(best, 100*(cpuTime()-before).Seconds()/wall.Seconds())
	}
	t.Logf("%.2f %% of a CPU", best)
	if best > 1 {
		t.Fatalf("%.2f %% of a CPU", best)
	}
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
