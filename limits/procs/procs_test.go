package procs

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/limits/limitstest"
)

func TestMain(m *testing.M) { os.Exit(limitstest.Main(m)) }

// openings are the ways to see a container; all must see the same processes.
func openings() map[string]func(hostPid int) (*Set, error) {
	return map[string]func(int) (*Set, error){
		"proc of the container": Open,
		"search of the host": func(pid int) (*Set, error) {
			return openHost(func(s *Set) func() ([]int, error) { return s.namespace(namespaceOf(pid)) })
		},
		"descendants": OpenTree,
	}
}

func TestEveryOpeningSeesTheTree(t *testing.T) {
	for name, open := range openings() {
		t.Run(name, func(t *testing.T) {
			c := limitstest.Start(t, "tree 3 20")
			s, err := open(c.Pid)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			limitstest.Await(t, "four processes of 20 MB", func() bool {
				pids, err := s.Pids()
				big := 0
				for _, pid := range pids {
					if s.Memory(pid).Proportional > 20<<20 && s.Resident(pid) > 20<<20 {
						big++
					}
				}
				return err == nil && len(pids) == 4 && big == 3
			})
			pids, _ := s.Pids()
			if err := s.Kill(pids[len(pids)-1]); err != nil {
				t.Fatal(err)
			}
			limitstest.Await(t, "one child to be gone", func() bool { return living(s) == 3 })
		})
	}
}

// living counts processes that are no zombies.
func living(s *Set) int {
	n := 0
	for _, st := range s.parentsFirst() {
		if st.State != 'Z' {
			n++
		}
	}
	return n
}

func TestOpenUsesTheContainersProc(t *testing.T) {
	c := limitstest.Start(t, "sleep")
	s, err := Open(c.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if pids, err := s.Pids(); err != nil || !slices.Equal(pids, []int{1}) {
		t.Fatalf("pids %v, %v", pids, err)
	}
}

func TestOpenRefusesAFalseProc(t *testing.T) {
	c := limitstest.Start(t, "dead")
	if _, err := inner(c.Pid, namespaceOf(c.Pid)); !errors.Is(err, ErrForeign) {
		t.Fatalf("a tmpfs as /proc: %v", err)
	}
	s, err := Open(c.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if pids, err := s.Pids(); err != nil || !slices.Equal(pids, []int{c.Pid}) {
		t.Fatalf("pids %v, %v, want the host's number %d", pids, err, c.Pid)
	}
}

func TestOpenDuringABirth(t *testing.T) {
	c := limitstest.Start(t, "late 300")
	s, err := Open(c.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if pids, err := s.Pids(); err != nil || !slices.Equal(pids, []int{c.Pid}) {
		t.Fatalf("pids %v, %v, want the host's number %d", pids, err, c.Pid)
	}
	limitstest.Await(t, "the container's own numbers", func() bool {
		pids, err := s.Pids()
		return err == nil && slices.Equal(pids, []int{1}) && s.Resident(1) > 0
	})
}

func TestOpenOfTheHostsNamespaceIsForeign(t *testing.T) {
	if _, err := Open(os.Getpid()); !errors.Is(err, ErrForeign) {
		t.Fatal(err)
	}
}

func TestOpenOfADeadProcess(t *testing.T) {
	for name, open := range map[string]func(int) (*Set, error){"Open": Open, "OpenTree": OpenTree} {
		if _, err := open(1 << 22); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStopAndContinue(t *testing.T) {
	c := limitstest.Start(t, "spins 2")
	s, err := Open(c.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	limitstest.Await(t, "three processes", func() bool { return living(s) == 3 })
	held := s.Stop()
	if len(held) != 3 || held[0].Pid != 1 {
		t.Fatalf("stopped %v, want pid 1 first and all three", held)
	}
	limitstest.Await(t, "all to be stopped", func() bool { return stopped(s) == 3 })
	if again := s.Stop(); len(again) != 0 {
		t.Fatalf("stopped once more: %v", again)
	}
	Continue(held)
	limitstest.Await(t, "all to go on", func() bool { return stopped(s) == 0 })
	s.Stop()
	s.ContinueAll()
	limitstest.Await(t, "all to go on", func() bool { return stopped(s) == 0 })
}

func stopped(s *Set) int {
	n := 0
	for _, st := range s.parentsFirst() {
		if st.State == 'T' {
			n++
		}
	}
	return n
}

func TestTuneARunningContainer(t *testing.T) {
	c := limitstest.Start(t, "spins 1")
	if err := SetAffinity(c.Pid, []int{0}); err != nil {
		t.Fatal(err)
	}
	own, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	nice := min(20-own+5, 19) // an ordinary user's can only grow
	if err := SetNice(c.Pid, nice); err != nil {
		t.Fatal(err)
	}
	pids, err := Host(c.Pid)
	if err != nil || len(pids) != 2 {
		t.Fatalf("host pids %v, %v", pids, err)
	}
	for _, pid := range pids {
		text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if !slices.Contains(strings.Split(string(text), "\n"), "Cpus_allowed_list:\t0") {
			t.Errorf("process %d may run elsewhere", pid)
		}
		if prio, err := syscall.Getpriority(syscall.PRIO_PROCESS, pid); err != nil || 20-prio != nice {
			t.Errorf("process %d: nice %d, %v", pid, 20-prio, err)
		}
	}
}

func TestParseStat(t *testing.T) {
	line := "42 (a) R (b) S 7 42 42 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 1 0 123 1000 50"
	want := Status{Pid: 42, Parent: 7, State: 'S', Ticks: 110, User: 44}
	if st, ok := parseStat(42, []byte(line)); !ok || st != want {
		t.Fatalf("got %+v", st)
	}
	for _, bad := range []string{"", "42 (a", "42 (a) S 7"} {
		if _, ok := parseStat(42, []byte(bad)); ok {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestParseNetDev(t *testing.T) {
	text := "Inter-|   Receive   |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n" +
		"    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n" +
		"  eth0:1200 12    1    2    0     0          0         0      570       5    3    4    0     0       0          0\n"
	want := []Interface{{"eth0", 1200, 12, 1, 2, 570, 5, 3, 4}}
	if got := parseNetDev(text); !slices.Equal(got, want) {
		t.Fatalf("got %+v", got)
	}
}

func TestSortParentsFirst(t *testing.T) {
	all := []Status{{Pid: 9, Parent: 5}, {Pid: 5, Parent: 1}, {Pid: 1}, {Pid: 30, Parent: 30}, {Pid: 7}}
	order := []int{}
	for _, st := range sortParentsFirst(all) {
		order = append(order, st.Pid)
	}
	if !slices.Equal(order, []int{1, 7, 5, 9, 30}) {
		t.Fatalf("order %v", order)
	}
}

func TestMemoryOfADeadProcessIsZero(t *testing.T) {
	c := limitstest.Start(t, "sleep")
	s, err := Open(c.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c.Process.Kill()
	c.Wait()
	time.Sleep(10 * time.Millisecond)
	if m := s.Memory(1); m != (Memory{}) {
		t.Fatalf("memory %+v", m)
	}
	if pids, err := s.Pids(); err != nil || len(pids) != 0 {
		t.Fatalf("pids %v, %v", pids, err)
	}
}
