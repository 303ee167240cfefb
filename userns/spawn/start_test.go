package spawn_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/userns/spawn"
)

// start runs a list whose descriptor 3 is its report pipe, and returns what it told, its failure and its exit code.
func start(t *testing.T, l *spawn.List) (told []uint64, failure error, code int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pid, err := l.Start(spawn.Options{Name: "moss-test", Files: []int{0, 1, 2, int(w.Fd())}, Report: 3})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	failure = l.Reports(r, func(v uint64) { told = append(told, v) })
	ws, err := spawn.Wait(pid)
	if err != nil {
		t.Fatal(err)
	}
	return told, failure, ws.ExitStatus()
}

func exit(l *spawn.List, code uintptr) { l.Call("exit", syscall.SYS_EXIT_GROUP, code) }

func TestExitCode(t *testing.T) {
	l := spawn.New()
	exit(l, 7)
	if _, err, code := start(t, l); err != nil || code != 7 {
		t.Fatalf("code %d, %v", code, err)
	}
}

func TestFailureNamesTheCall(t *testing.T) {
	l := spawn.New()
	l.Call("opening nothing", syscall.SYS_OPENAT, ^uintptr(99), l.Str("/does/not/exist"), 0)
	exit(l, 0)
	_, err, code := start(t, l)
	var ce *spawn.CallError
	if !errors.As(err, &ce) || ce.Call != "opening nothing" || !errors.Is(err, syscall.ENOENT) || code != 127 {
		t.Fatalf("code %d, %v", code, err)
	}
}

func TestTryGoesOn(t *testing.T) {
	l := spawn.New()
	l.Try("opening nothing", syscall.SYS_OPENAT, ^uintptr(99), l.Str("/does/not/exist"), 0)
	exit(l, 3)
	if _, err, code := start(t, l); err != nil || code != 3 {
		t.Fatalf("code %d, %v", code, err)
	}
}

func TestTellSavesAndJumps(t *testing.T) {
	l := spawn.New()
	pid := l.Call("getpid", syscall.SYS_GETPID)
	l.IfNotZero(pid, l.Next()+1)
	exit(l, 9) // jumped over
	word, _ := l.Tell("tell pid", 3)
	l.Save(pid, word)
	exit(l, 0)
	told, err, code := start(t, l)
	if err != nil || code != 0 || len(told) != 1 || told[0] < 2 {
		t.Fatalf("told %v, code %d, %v", told, code, err)
	}
}

func TestDecimalBuildsAPath(t *testing.T) {
	l := spawn.New()
	pid := l.Call("getpid", syscall.SYS_GETPID)
	path := l.String("/proc/////////////")
	d := l.Decimal("pid in decimal", path+17)
	l.Feed(pid, d, 0)
	l.Call("chdir /proc/self", syscall.SYS_CHDIR, uintptr(path))
	l.Call("opening stat", syscall.SYS_OPENAT, ^uintptr(99), l.Str("stat"), 0)
	exit(l, 0)
	if _, err, code := start(t, l); err != nil || code != 0 {
		t.Fatalf("code %d, %v", code, err)
	}
}

func TestChildSharesTheCalls(t *testing.T) {
	l := spawn.New()
	word, _ := l.Words(0, spawn.Told), 0
	args := l.Words(spawn.ShareMemory|0x4000|0x100000, 0, 0, uint64(word), uint64(syscall.SIGCHLD), 0, 0, 0, 0, 0, 0) // VFORK, PARENT_SETTID
	c := l.Call("clone3", 435, uintptr(args), 88)
	exit(l, 5) // the child
	l.IfNotZero(c, l.Next())
	l.Call("tell child", syscall.SYS_WRITE, 3, uintptr(word), 16)
	status := l.Words(0, spawn.Told)
	l.Call("wait4", syscall.SYS_WAIT4, ^uintptr(0), uintptr(status), 0, 0)
	l.Call("tell status", syscall.SYS_WRITE, 3, uintptr(status), 16)
	exit(l, 0)
	told, err, code := start(t, l)
	if err != nil || code != 0 || len(told) != 2 || told[0] < 2 || syscall.WaitStatus(told[1]).ExitStatus() != 5 {
		t.Fatalf("told %v, code %d, %v", told, code, err)
	}
}

func TestLoadFeedsSeveralCalls(t *testing.T) {
	l := spawn.New()
	fd := l.Words(0)
	open := l.Call("opening", syscall.SYS_OPENAT, ^uintptr(99), l.Str("/dev/null"), syscall.O_WRONLY, 0)
	l.Save(open, fd)
	l.CallWith(fd, 0, "writing", syscall.SYS_WRITE, 0, l.Str("x"), 1)
	l.CallWith(fd, 0, "closing", syscall.SYS_CLOSE, 0)
	l.CallWith(fd, 0, "closing again", syscall.SYS_CLOSE, 0)
	_, err, _ := start(t, l)
	var ce *spawn.CallError
	if !errors.As(err, &ce) || ce.Call != "closing again" || ce.Errno != syscall.EBADF {
		t.Fatalf("%v", err)
	}
}
