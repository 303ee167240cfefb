package userns

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// runDir is a directory for a keeper. Root's keeper is another user, who must get there.
func runDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestKeeperHoldsTheMap(t *testing.T) {
	dir := runDir(t)
	n, err := Ensure(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	t.Cleanup(func() { _ = syscall.Kill(n.PID(), syscall.SIGKILL) })
	again, err := Ensure(dir, nil)
	if err != nil || again.PID() != n.PID() {
		t.Fatalf("a second keeper %v, %v", again, err)
	}
	again.Close()
	if m, err := mapOf(n.PID()); err != nil || !m.Identical(n.Map) {
		t.Fatalf("map %v, want %v, %v", m, n.Map, err)
	}
	for _, e := range n.Map.UID {
		if e.Outside == 0 && os.Getuid() == 0 {
			t.Fatal("uid 0 of the machine is mapped")
		}
	}
	mounts, err := os.ReadFile("/proc/" + strconv.Itoa(n.PID()) + "/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if lines := len(mounts); lines > 200 {
		t.Fatalf("the keeper pins mounts:\n%s", mounts)
	}
}

func TestKeeperIsRevivedInItsNamespace(t *testing.T) {
	dir := runDir(t)
	n, err := Ensure(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	ns := func(pid int) string {
		s, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/user")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := ns(n.PID())
	other, err := startKeeper(keeperList(true, dir), dir, n.FD(), func(int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(other, syscall.SIGKILL) })
	p, err := Observe(other)
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(n.PID(), syscall.SIGKILL)
	var ws syscall.WaitStatus
	_, _ = syscall.Wait4(n.PID(), &ws, 0, nil)
	m, err := Ensure(dir, func() []Survivor { return []Survivor{{Process: p}} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(m.PID(), syscall.SIGKILL) })
	if got := ns(m.PID()); got != want {
		t.Fatalf("namespace %s, want %s", got, want)
	}
}

func TestParseStatWithOddName(t *testing.T) {
	line := "42 (a) b) Z 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1792\n"
	st, err := parseStat([]byte(line))
	if err != nil || st.State != 'Z' || st.PPID != 7 || st.Start != 12345 || st.Status.ExitStatus() != 7 {
		t.Fatalf("%+v, %v", st, err)
	}
}

func TestNestedMapHasOneLinePerExtent(t *testing.T) {
	m := Map{UID: []Extent{{0, 1000, 1}, {1, 100000, 65536}}, GID: []Extent{{0, 1000, 1}}}
	u, g := m.Nested()
	if u != "0 0 1\n1 1 65536\n" || g != "0 0 1\n" {
		t.Fatalf("%q %q", u, g)
	}
}
