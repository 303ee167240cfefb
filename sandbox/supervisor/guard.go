package supervisor

import (
	"encoding/binary"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A guard is a list that waits for the supervisor's end and then becomes the next supervisor, within milliseconds and
// without anybody's command. It costs 12 kB. The supervisor watches it in turn.
type guard struct {
	mu      sync.Mutex
	pid     int
	stopped bool
}

// OwnGuard is the guard that a supervisor that was a guard has from its birth on, a child of this process; 0 without one.
func OwnGuard() int {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		if isChild(pid) {
			return pid // it is the first child
		}
	}
	return 0
}

func isChild(pid int) bool {
	st, err := userns.ReadStat(pid)
	return err == nil && st.PPID == os.Getpid()
}

// EndGuard ends the guard that OwnGuard found, if it is still there.
func EndGuard(pid int) {
	if pid != 0 && isChild(pid) { // not reaped, so nobody else's number
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// startGuard sees to it that this process has a guard, and keeps one there. It returns when the first one watches.
func (s *Server) startGuard() *guard {
	g := &guard{pid: s.Guard}
	pid := s.Guard
	if pid == 0 {
		pid = g.start(s.Root, s.Dirs.Run)
	}
	go func() {
		for g.wait(pid) {
			time.Sleep(100 * time.Millisecond)
			pid = g.start(s.Root, s.Dirs.Run)
		}
	}()
	return g
}

// start starts one guard; 0 if it could not (no process, descriptor or memory is left), to be tried again.
func (g *guard) start(root, tmpDir string) int {
	pid, err := startGuard(root, tmpDir)
	if err != nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pid = pid
	if g.stopped {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return pid
}

// guardPause is how long the supervisor waits before it tries again to start a guard.
const guardPause = time.Second

// wait waits for a guard's end; false when it is not to be replaced.
func (g *guard) wait(pid int) bool {
	if pid == 0 {
		time.Sleep(guardPause)
	} else {
		_, _ = spawn.Wait(pid)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.stopped
}

// stop ends the guard; its supervisor ends on purpose.
func (g *guard) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	if g.pid != 0 {
		_ = syscall.Kill(g.pid, syscall.SIGKILL)
	}
}

// Descriptors of a guard: the role's message and its file (a pipe nobody reads), then what it waits for and executes.
const (
	guardMoment  = 50 * time.Millisecond
	guardMessage = 3
	guardReady   = 4
	guardWatched = 5
	guardProgram = 6
)

func startGuard(root, tmpDir string) (int, error) {
	cmd := command(root)
	cmd.Body = RoleMessage{Root: root, Guarded: true}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	defer w.Close()
	cmd.Files = []*os.File{w}
	msg, err := cmd.Message()
	if err != nil {
		return 0, err
	}
	defer msg.Close()
	prog, err := role.Program()
	if err != nil {
		return 0, err
	}
	defer prog.Close()
	self, err := sys.PidfdOpen(os.Getpid())
	if err != nil {
		return 0, err
	}
	defer syscall.Close(self)
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	n := int(null.Fd())
	l := guardList(cmd)
	return l.Start(spawn.Options{Name: "moss-guard", Files: []int{n, n, n, int(msg.Fd()), int(w.Fd()), self, int(prog.Fd())}, Report: 2, Setsid: true, TmpDir: tmpDir})
}

// guardList is the guard. When its supervisor has ended, and a moment later, it makes a copy of itself that watches it in turn,
// and only then becomes the next supervisor: at no time is a supervisor without a guard, whenever it is killed. The moment
// keeps a supervisor that cannot start from taking a processor. The copy shares the offset of the message, which was read.
func guardList(cmd *role.Command) *spawn.List {
	l := spawn.New()
	l.Name("moss-guard")
	argv, env := l.Strings(cmd.Argv()), l.Strings(cmd.Env)
	poll := make([]byte, 8) // struct pollfd
	binary.LittleEndian.PutUint32(poll, guardWatched)
	binary.LittleEndian.PutUint16(poll[4:], sys.PollIn)
	at := l.Bytes(poll)
	wait := l.Next()
	op := l.Call("watching the supervisor", sys.SYS_PPOLL, uintptr(at), 1, 0, 0, 8)
	l.OnError(op, wait)
	l.Try("waiting a moment", sys.SYS_PPOLL, 0, 0, uintptr(l.Words(0, uint64(guardMoment))), 0, 8)
	open := l.Next() + 1
	l.Feed(l.Call("finding its own pid", syscall.SYS_GETPID), open, 0)
	l.Call("opening itself", sys.SYS_PIDFD_OPEN, 0, 0)
	l.Feed(open, l.Next(), 0)
	l.Call("watching itself", sys.SYS_DUP3, 0, guardWatched, 0)
	l.Call("closing what it was opened by", sys.SYS_CLOSE_RANGE, guardProgram+1, 1<<32-1, 0)
	copied := l.Call("copying itself", sys.SYS_CLONE3, uintptr(l.Words(0, 0, 0, 0, uint64(syscall.SIGCHLD), 0, 0, 0, 0, 0, 0)), 88)
	l.Jump(wait)
	l.IfNotZero(copied, l.Next())
	l.Try("reading the message anew", syscall.SYS_LSEEK, guardMessage, 0, 0)
	l.Call("marking descriptors", sys.SYS_CLOSE_RANGE, guardWatched, 1<<32-1, sys.CloseRangeCloexec)
	l.Call("becoming the supervisor", sys.SYS_EXECVEAT, guardProgram, l.Str(""), uintptr(argv), uintptr(env), sys.AtEmptyPath)
	return l
}
