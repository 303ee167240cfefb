package spawn_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

const (
	vfork        = 0x4000
	parent       = 0x8000
	parentSetTID = 0x100000
)

// clone writes a clone3(2) call whose child runs body, which must end; the parent goes on behind it. The pid is in the word.
func clone(l *spawn.List, flags uint64, signal syscall.Signal, body func()) (pid spawn.Addr) {
	pid = l.Words(0, spawn.Told)
	args := l.Words(spawn.ShareMemory|parentSetTID|flags, 0, 0, uint64(pid), uint64(signal), 0, 0, 0, 0, 0, 0)
	c := l.Call("cloning", sys.SYS_CLONE3, uintptr(args), 88)
	body()
	l.IfNotZero(c, l.Next())
	return pid
}

// tellStatus waits for any child and reports its status.
func tellStatus(l *spawn.List) {
	status := l.Words(0, spawn.Told)
	l.Call("waiting", syscall.SYS_WAIT4, ^uintptr(0), uintptr(status), 0, 0)
	l.Call("telling the status", syscall.SYS_WRITE, report, uintptr(status), 16)
}

func TestCloneTellsThePidAndRunsTheCalls(t *testing.T) {
	for name, flags := range map[string]uint64{"plain": 0, "vfork": vfork} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, i interpreter) {
				i.native(t, "has no clone3(2)")
				l := spawn.New()
				pid := clone(l, flags, syscall.SIGCHLD, func() { exit(l, 5) })
				l.Call("telling the pid", syscall.SYS_WRITE, report, uintptr(pid), 16)
				tellStatus(l)
				exit(l, 0)
				o := i.run(t, l)
				if o.err != nil || o.code != 0 || len(o.told) != 2 || int(o.told[0]) <= o.pid || syscall.WaitStatus(o.told[1]).ExitStatus() != 5 {
					t.Fatalf("%+v", o)
				}
			})
		})
	}
}

// The word with the pid is the parent's from the clone on, also when the child runs first and for long.
func TestPidWordSurvivesTheChild(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		i.native(t, "has no clone3(2)")
		for range 50 {
			l := spawn.New()
			pid := clone(l, vfork, syscall.SIGCHLD, func() {
				l.Save(l.Call("getppid", syscall.SYS_GETPPID), l.Words(0))
				exit(l, 0)
			})
			l.CallWith(pid, 0, "waiting for that child", syscall.SYS_WAIT4, 0, 0, 0, 0)
			exit(l, 0)
			i.run(t, l).want(t, 0)
		}
	})
}

func TestChildrensFailuresAreReported(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		i.native(t, "has no clone3(2)")
		l := spawn.New()
		clone(l, vfork, syscall.SIGCHLD, func() {
			clone(l, vfork, syscall.SIGCHLD, func() {
				tell(l, 1)
				openNothing(l)
			})
			tellStatus(l)
			exit(l, 0)
		})
		tell(l, 2) // what comes after a failure is handed on
		exit(l, 0)
		o := i.run(t, l)
		o.wantFailure(t, "opening nothing", syscall.ENOENT)
		if len(o.told) != 3 || o.told[0] != 1 || syscall.WaitStatus(o.told[1]).ExitStatus() != 127 || o.told[2] != 2 {
			t.Fatalf("%+v", o)
		}
	})
}

// executes writes a call that executes this test binary under a name that TestMain knows. Descriptor 4 is its file.
func executes(l *spawn.List, name string) {
	l.Call("marking descriptors", sys.SYS_CLOSE_RANGE, report, 1<<32-1, sys.CloseRangeCloexec)
	argv, env := l.Strings([]string{name}), l.Strings([]string{"A=B"})
	l.Call("executing", sys.SYS_EXECVEAT, 4, l.Str(""), uintptr(argv), uintptr(env), sys.AtEmptyPath)
}

func self(t *testing.T) int {
	t.Helper()
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return int(f.Fd())
}

func TestChildExecutes(t *testing.T) {
	for name, flags := range map[string]uint64{"plain": 0, "vfork": vfork} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, i interpreter) {
				i.native(t, "starts no program of its architecture")
				l := spawn.New()
				clone(l, flags, syscall.SIGCHLD, func() { executes(l, "exits with 7") })
				tellStatus(l)
				exit(l, 0)
				i.run(t, l, self(t)).want(t, 0, 7<<8)
			})
		})
	}
}

// The child of exec's starter: a child of whoever started the list.
func TestChildOfTheStartersParent(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		i.native(t, "has no clone3(2)")
		l := spawn.New()
		pid := clone(l, vfork|parent, 0, func() { executes(l, "exits with 7") })
		l.Call("telling the pid", syscall.SYS_WRITE, report, uintptr(pid), 16)
		exit(l, 0)
		o := i.run(t, l, self(t))
		if o.err != nil || o.code != 0 || len(o.told) != 1 {
			t.Fatalf("%+v", o)
		}
		if ws, err := spawn.Wait(int(o.told[0])); err != nil || ws.ExitStatus() != 7 {
			t.Fatalf("%v, %v", ws, err)
		}
	})
}

// End of file says that the list has executed something else, though that lives on.
func TestReportsEndAtExec(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		i.native(t, "starts no program of its architecture")
		l := spawn.New()
		tell(l, 1)
		l.Call("taking the input", sys.SYS_DUP3, 5, 0, 0)
		executes(l, "lives until its input ends")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		pid, reports := i.begin(t, l, self(t), int(r.Fd()))
		r.Close()
		var told []uint64
		if err := l.Reports(reports, func(v uint64) { told = append(told, v) }); err != nil || len(told) != 1 {
			t.Fatalf("told %v, %v", told, err)
		}
		if err := syscall.Kill(pid, 0); err != nil {
			t.Fatalf("it has ended: %v", err)
		}
		w.Close()
		if ws, err := spawn.Wait(pid); err != nil || ws.ExitStatus() != 0 {
			t.Fatalf("%v, %v", ws, err)
		}
	})
}

func TestFailedExecIsReported(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		l := spawn.New()
		tell(l, 1)
		argv := l.Strings([]string{"x"})
		l.Call("executing", syscall.SYS_EXECVE, l.Str("/does/not/exist"), uintptr(argv), uintptr(l.Strings(nil)))
		o := i.run(t, l)
		o.wantFailure(t, "executing", syscall.ENOENT)
		if len(o.told) != 1 {
			t.Fatalf("%+v", o)
		}
	})
}

func TestChildrenInheritUndumpable(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		i.native(t, "has no clone3(2)")
		l := spawn.New()
		l.Call("becoming unreadable", syscall.SYS_PRCTL, 4, 0, 0, 0, 0)
		tellDumpable := func() {
			word := l.Words(9, spawn.Told)
			l.Save(l.Call("asking", syscall.SYS_PRCTL, 3, 0, 0, 0, 0), word)
			l.Call("telling", syscall.SYS_WRITE, report, uintptr(word), 16)
		}
		tellDumpable()
		clone(l, vfork, syscall.SIGCHLD, func() { tellDumpable(); exit(l, 0) })
		exit(l, 0)
		i.run(t, l).want(t, 0, 0, 0)
	})
}
