package guest

import (
	"syscall"

	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Descriptors that an exec list is started with.
const (
	execJoin   = 3 // the container's first process
	execReport = 4
	execIn     = 5
	execOut    = 6
	execErr    = 7
	execTTY    = 8
	execEnd    = 9
)

// ExecReport is the number of the report descriptor of an exec list.
const ExecReport = execReport

// An Exec is a command that joins a running container.
type Exec struct {
	Process    spec.Process
	Namespaces uint64 // namespaces to join: those that the container has of its own
	SetGroups  bool
	Filter     []byte
	Winsize    [4]uint16
	Affinity   []byte
	Detached   bool // input and output are the container's own /dev/null
	Nice       int
	RootUID    int // the first ids of the container's namespace: 0 but for a single id that stands for another
	RootGID    int
}

// ExecFiles are the descriptors of the process that starts an exec list; -1 for none.
type ExecFiles struct{ Null, Join, Report, Stdin, Stdout, Stderr, TTY int }

// Order is the files in the list's numbering.
func (f ExecFiles) Order() []int {
	return []int{f.Null, f.Null, f.Null, f.Join, f.Report, f.Stdin, f.Stdout, f.Stderr, f.TTY}
}

// List writes the starter's list. It reports the command's pid; the command is a child of the starter's parent.
func (e *Exec) List() *spawn.List {
	l := spawn.New()
	l.Call("closing what was left open", sys.SYS_CLOSE_RANGE, execEnd, 1<<32-1, 0)
	l.Call("becoming unreadable", syscall.SYS_PRCTL, prSetDumpable, 0, 0, 0, 0)
	l.Call("joining the container", sys.SYS_SETNS, execJoin, uintptr(e.Namespaces))
	pid := l.Words(0, spawn.Told)
	args := l.Words(spawn.ShareMemory|cloneVfork|cloneParent|parentSetTID, 0, 0, uint64(pid), 0, 0, 0, 0, 0, 0, 0)
	clone := l.Call("making a process in the container", sys.SYS_CLONE3, uintptr(args), 88)
	e.command(l)
	l.IfNotZero(clone, l.Next())
	l.Call("telling the pid", syscall.SYS_WRITE, execReport, uintptr(pid), 16)
	l.Call("ending", syscall.SYS_EXIT_GROUP, 0)
	return l
}

func (e *Exec) command(l *spawn.List) {
	l.Call("closing the way in", syscall.SYS_CLOSE, execJoin)
	l.Call("leading a session", syscall.SYS_SETSID)
	l.Call("becoming the container's root group", syscall.SYS_SETRESGID, uintptr(e.RootGID), uintptr(e.RootGID), uintptr(e.RootGID))
	l.Call("becoming the container's root", syscall.SYS_SETRESUID, uintptr(e.RootUID), uintptr(e.RootUID), uintptr(e.RootUID))
	switch {
	case e.Detached:
		fd := l.Words(0)
		l.Save(l.Call("opening /dev/null", syscall.SYS_OPENAT, atFdcwd, l.Str("/dev/null"), syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0), fd)
		for n := range uintptr(3) {
			l.CallWith(fd, 0, "taking /dev/null", sys.SYS_DUP3, 0, n, 0)
		}
	case e.Process.TTY:
		openTerminal(l, "/dev/pts/ptmx", e.Winsize, []uintptr{execTTY})
	default:
		if e.Process.Stdin {
			l.Call("taking the input", sys.SYS_DUP3, execIn, 0, 0)
		} else { // the container's own /dev/null, whatever that is there
			fd := l.Words(0)
			l.Save(l.Call("opening /dev/null", syscall.SYS_OPENAT, atFdcwd, l.Str("/dev/null"), syscall.O_RDONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0), fd)
			l.CallWith(fd, 0, "taking /dev/null", sys.SYS_DUP3, 0, 0, 0)
		}
		l.Call("taking the output", sys.SYS_DUP3, execOut, 1, 0)
		l.Call("taking the errors", sys.SYS_DUP3, execErr, 2, 0)
	}
	dir := e.Process.Dir
	if dir == "" {
		dir = "/"
	}
	cwd := l.Words(0)
	openDir(l, dir, dir, cwd)
	l.CallWith(cwd, 0, "entering working directory", syscall.SYS_FCHDIR, 0)
	p := process{Process: &e.Process, filter: e.Filter, setGroups: e.SetGroups, nice: e.Nice, affinity: e.Affinity}
	p.become(l)
}
