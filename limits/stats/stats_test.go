package stats

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/limits/limitstest"
	"github.com/moss-sandbox/moss/limits/procs"
)

func TestMain(m *testing.M) { os.Exit(limitstest.Main(m)) }

func TestRowReadsAsDockers(t *testing.T) {
	before := Sample{Time: time.Unix(1, 0), CPU: 1e9, Machine: Machine{CPU: 10e9, CPUs: 2}}
	now := Sample{Time: time.Unix(2, 0), CPU: 15e8, Machine: Machine{CPU: 12e9, CPUs: 2}, Memory: 3989832, Limit: 200 << 20, Read: 9.2e6, Pids: 1,
		Nets: []procs.Interface{{Name: "eth0", RxBytes: 500}, {Name: "eth1", RxBytes: 70}}}
	r := Compute(before, now)
	for got, want := range map[string]string{
		r.CPUText(): "50.00%", r.MemoryText(): "3.805MiB / 200MiB", r.PercentText(): "1.90%", r.NetText(): "570B / 0B",
		r.BlockText(): "9.2MB / 0B", r.PidsText(): "1",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestComputeWithoutAFirstSample(t *testing.T) {
	now := Sample{Time: time.Unix(2, 0), CPU: 15e8, Machine: Machine{CPU: 12e9, CPUs: 2}}
	if r := Compute(Sample{}, now); r.CPU != 0 || r.Percent != 0 {
		t.Errorf("%+v", r)
	}
	if r := Compute(now, now); r.CPU != 0 {
		t.Errorf("%+v", r)
	}
}

func TestParseMachine(t *testing.T) {
	m := parseMachine("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 5\n")
	if m != (Machine{CPU: 28e7, CPUs: 2}) {
		t.Fatalf("%+v", m)
	}
	if n := parseTotal("MemTotal:       16384 kB\nMemFree: 1 kB\n"); n != 16<<20 {
		t.Fatal(n)
	}
}

func open(t *testing.T, c Container) *Source {
	t.Helper()
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func sample(t *testing.T, s *Source) Sample {
	t.Helper()
	got, err := s.Sample(ReadMachine())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestMemoryAndPidsOfATree(t *testing.T) {
	c := limitstest.Start(t, "tree 2 50")
	s := open(t, Container{Pid: c.Pid, Limit: 500 << 20})
	limitstest.Await(t, "100 MB", func() bool { return sample(t, s).Memory > 100<<20 })
	got := sample(t, s)
	if got.Memory > 200<<20 || got.Pids != 3 || got.Limit != 500<<20 {
		t.Fatalf("%+v", got)
	}
	if s := open(t, Container{Pid: c.Pid}); sample(t, s).Limit != ReadMachine().Memory {
		t.Fatal("without a limit the machine's memory is shown")
	}
}

func TestCPUOfASpinner(t *testing.T) {
	c := limitstest.Start(t, "spin")
	s := open(t, Container{Pid: c.Pid})
	before, start := sample(t, s), time.Now()
	limitstest.Await(t, "a tenth of a second of CPU time", func() bool { return sample(t, s).CPU >= before.CPU+1e8 })
	now := sample(t, s)
	want := 100 * float64(now.CPU-before.CPU) / float64(time.Since(start)) // what others left to it
	if r := Compute(before, now); r.CPU < want/2 || r.CPU > 2*want+10 {
		t.Fatalf("CPU %.1f %%, of the clock %.1f %%", r.CPU, want)
	}
}

func TestBlockWrites(t *testing.T) {
	dir, err := os.MkdirTemp("/var/tmp", "moss-stats") // not a tmpfs
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var fsys syscall.Statfs_t
	if syscall.Statfs(dir, &fsys); fsys.Type == 0x01021994 {
		limitstest.Missing(t, "/var/tmp is on a tmpfs")
	}
	c := limitstest.Start(t, "copy "+filepath.Join(dir, "file"))
	s := open(t, Container{Pid: c.Pid})
	limitstest.Await(t, "five megabytes written", func() bool { return sample(t, s).Write >= 5<<20 })
}

func TestNetworkOfItsOwn(t *testing.T) {
	c := limitstest.Start(t, "sleep")
	if got := sample(t, open(t, Container{Pid: c.Pid, NoNet: true})); got.Nets != nil {
		t.Fatalf("%+v", got.Nets)
	}
}

func TestEndedContainer(t *testing.T) {
	c := limitstest.Start(t, "sleep")
	s := open(t, Container{Pid: c.Pid})
	c.Process.Kill()
	c.Wait()
	if _, err := s.Sample(ReadMachine()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if _, err := Open(Container{Pid: c.Pid}); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// TestCost is the bound of the design: 100 containers at one sample a second cost at most 2 % of a CPU, so one sample at
// most 200 µs. It counts this process's CPU time, which a busy machine changes little, and allows twice that.
func TestCost(t *testing.T) {
	c := limitstest.Start(t, "tree 1 5")
	s := open(t, Container{Pid: c.Pid})
	sample(t, s)
	const rounds = 50
	machine, best := ReadMachine(), time.Hour
	for range 10 { // the best: what shares the machine spoils its caches
		before := cpuTime()
		for range rounds {
			if _, err := s.Sample(machine); err != nil {
				t.Fatal(err)
			}
		}
		best = min(best, (cpuTime()-before)/rounds)
	}
	t.Logf("%v for each sample", best)
	if best > 400*time.Microsecond {
		t.Fatalf("%v for each sample", best)
	}
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(math.Round(float64(r.Utime.Nano() + r.Stime.Nano())))
}
