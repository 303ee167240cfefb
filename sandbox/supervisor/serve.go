package supervisor

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/output"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Sinks are where output goes beside the log; nil for nowhere.
type Sinks struct{ Stdout, Stderr *os.File }

// An Exit is how a container ended.
type Exit struct {
	Code int
	OOM  bool
}

// Snapshot is the container as its server knows it.
func (g *Guest) Snapshot() *sandbox.Snapshot { return g.snap }

// Pidfd is a descriptor of the first process, valid until Serve has returned.
func (g *Guest) Pidfd() int { return g.pidfd }

// Stdin is the write end of the command's input, nil without one. Closing it ends the input.
func (g *Guest) Stdin() *os.File { return g.stdin }

// Terminal is the master of the command's terminal, nil without one.
func (g *Guest) Terminal() *os.File { return g.master }

// newLog is the writer of a container's log as its options say.
func newLog(c *sandbox.Snapshot) *output.Writer {
	w := &output.Writer{Dir: c.Dir, MaxFile: 1, Discard: c.Spec.Log.Driver == "none"}
	if n, err := strconv.ParseInt(c.Spec.Log.Options["max-size"], 10, 64); err == nil {
		w.MaxSize = n // the engine wrote bytes
	}
	if n, err := strconv.Atoi(c.Spec.Log.Options["max-file"]); err == nil && n > 0 {
		w.MaxFile = n
	}
	return w
}

// Serve moves the output until the first process has ended, records the end and cleans up. It closes everything that the
// guest holds but the right to serve, which the caller gives back. When ctx ends first, it stops where it is and returns
// ctx's error: the container runs on, to be adopted by another server.
func (g *Guest) Serve(ctx context.Context, also Sinks) (Exit, error) {
	if g.env.Group != nil && !g.born {
		g.env.Group.Adopt(ctx, g.snap)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for _, s := range []struct {
		from *os.File
		as   output.Stream
		to   *os.File
	}{{g.stdout, output.Stdout, also.Stdout}, {g.stderr, output.Stderr, also.Stderr}} {
		if s.from != nil {
			wg.Go(func() { g.move(s.from, s.as, s.to, &done) })
		}
	}
	if g.master != nil {
		wg.Go(func() { g.copyTerminal(also.Stdout, &done) })
	}
	checking, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() { g.checkHealth(checking) })
	ended := g.awaitEnd(ctx)
	done.Store(true)
	stop()
	for _, f := range []*os.File{g.stdout, g.stderr, g.master} {
		if f != nil {
			_ = f.SetReadDeadline(time.Now()) // wakes who waits; what is there is still moved
		}
	}
	wg.Wait()
	if !ended {
		if g.env.Group != nil {
			g.env.Group.Leave(g.snap)
		}
		g.closeFiles()
		return Exit{}, context.Cause(ctx)
	}
	return g.finish(context.WithoutCancel(ctx))
}

// awaitEnd waits for the first process's end; false when ctx ended before.
func (g *Guest) awaitEnd(ctx context.Context) bool {
	f, err := sys.PidfdFile(g.pidfd)
	if err != nil {
		return true
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Now()) })
	defer stop()
	if sys.AwaitReadable(f) == nil {
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	_, _ = sys.Poll([]sys.PollFd{{Fd: int32(g.pidfd), Events: sys.PollIn}}, -1) // a kernel whose pidfds cannot be waited for
	return true
}

// pieceMax is how much is moved at a time.
const pieceMax = 1 << 20

// move moves one stream until its end, or until it is empty after the container's end.
func (g *Guest) move(from *os.File, as output.Stream, to *os.File, done *atomic.Bool) {
	fd := sys.FD(from)
	for {
		ended := done.Load()
		n, err := g.log.Move(fd, as, pieceMax, to)
		var sink *output.SinkError
		switch {
		case errors.As(err, &sink):
			to = nil
		case errors.Is(err, syscall.EAGAIN):
			if ended {
				return
			}
			_ = sys.AwaitReadable(from) // or woken by the deadline
		case err != nil || n == 0:
			return
		}
	}
}

// copyTerminal moves what the terminal shows.
func (g *Guest) copyTerminal(to *os.File, done *atomic.Bool) {
	buf := make([]byte, 32<<10)
	fd := sys.FD(g.master)
	for {
		ended := done.Load()
		n, err := syscall.Read(fd, buf)
		switch {
		case n > 0:
			_ = g.log.Append(buf[:n], output.Stdout) // a full disk loses the log, not the session
			if to != nil {
				if _, err := to.Write(buf[:n]); err != nil {
					to = nil
				}
			}
		case errors.Is(err, syscall.EAGAIN) && !ended:
			_ = sys.AwaitReadable(g.master)
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EIO) && !ended: // no process has the terminal open, yet or any more
			time.Sleep(10 * time.Millisecond)
		default:
			return
		}
	}
}

// finish records the end: the outcome first, in place; then the holder may go, and with it the last mount and the lock.
func (g *Guest) finish(ctx context.Context) (Exit, error) {
	c, st := g.snap, &g.snap.State
	if sp, err := c.Sandbox.Spec(); err == nil {
		c.Spec.Name = sp.Name // it may have been renamed
	}
	status, known := g.status()
	exit := Exit{Code: sandbox.Code(status)}
	if !known {
		st.Error = unknownEnd
	}
	if g.env.Group != nil {
		exit.OOM = g.env.Group.OOMKilled(c)
	}
	st.Status, st.ExitCode, st.OOMKilled, st.Finished = sandbox.Exited, exit.Code, exit.OOM, time.Now()
	gone := c.Spec.AutoRemove
	if !gone {
		_ = c.RecordOutcome(exit.Code, exit.OOM, st.Finished)
	}
	g.killLeft()
	g.endHolder()
	if usesNetwork(c.Spec.Host.Network) && g.env.Network != nil {
		_ = g.env.Network.Release(ctx, c)
	}
	if g.env.Group != nil {
		_ = g.env.Group.Release(ctx, c)
	}
	var err error
	if !gone {
		err = c.SaveState(*st)
	}
	g.env.Dirs.Emit(c.Event("die", "exitCode", strconv.Itoa(exit.Code)))
	g.closeFiles()
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = nil // the outcome stands in the lock file
	}
	return exit, err
}

// unknownEnd is told of a container whose holder was killed where nobody else may see the exit status: before Linux 6.15, and
// where process 1 of the machine does not reap (a zombie of another user namespace tells its status to its parent and to the
// machine's root alone).
const unknownEnd = "the exit code is not known: the process of moss that kept it was killed"

// status is the first process's, as the holder records it; that of a container without a holder comes from the pidfd. known
// is false where nobody has seen it.
func (g *Guest) status() (ws syscall.WaitStatus, known bool) {
	for i := range 2000 { // the holder is woken together with us
		if ws, err := g.snap.HolderSays(); err == nil {
			return ws, true
		}
		if i%64 == 63 && !g.snap.State.Holder.Alive() {
			break
		}
		time.Sleep(50 * time.Microsecond)
	}
	if ws, err := g.snap.HolderSays(); err == nil {
		return ws, true
	}
	return g.statusWithoutHolder()
}

// statusWithoutHolder asks the kernel: for a child of this process, which may be a subreaper; as the machine's root for a
// zombie; for one that process 1 has reaped.
func (g *Guest) statusWithoutHolder() (ws syscall.WaitStatus, known bool) {
	p := g.snap.State.Guest
	if pid, err := syscall.Wait4(p.PID, &ws, syscall.WNOHANG, nil); err == nil && pid > 0 {
		return ws, true
	}
	if st, err := userns.ReadStat(p.PID); err == nil && st.Start == p.Start && st.State == 'Z' && g.env.Namespace.RealRoot {
		return st.Status, true
	}
	for range 20 { // process 1 is woken together with us
		if ws, err := sys.PidfdExit(g.pidfd); err == nil {
			return ws, true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return lostStatus, false
}

// lostStatus is exit code 255: nobody knows.
const lostStatus = syscall.WaitStatus(255 << 8)

// endHolder kills the holder and waits until it is gone; the zombie of the first process goes with it.
func (g *Guest) endHolder() {
	if g.born {
		_ = syscall.Kill(g.holder, syscall.SIGKILL)
		_, _ = spawn.Wait(g.holder)
		g.reap()
		return
	}
	fd, err := g.snap.State.Holder.Open()
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	_ = sys.PidfdSignal(fd, syscall.SIGKILL)
	_, _ = sys.Poll([]sys.PollFd{{Fd: int32(fd), Events: sys.PollIn}}, 5000)
}

// reap takes what became a child of this process with the holder's end, if it is a subreaper: the first process, and
// fuse-overlayfs, which is in the holder's process group.
func (g *Guest) reap() {
	for _, who := range []int{g.snap.State.Guest.PID, -g.holder} {
		for {
			if pid, err := syscall.Wait4(who, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

func (g *Guest) closeFiles() {
	for _, f := range []*os.File{g.takeStdin(), g.stdout, g.stderr, g.master} {
		if f != nil {
			f.Close()
		}
	}
	_ = g.log.Close()
	if g.pidfd > 0 {
		syscall.Close(g.pidfd)
		g.pidfd = 0
	}
}

// Signal sends a signal to the container's first process.
func Signal(c *sandbox.Snapshot, sig syscall.Signal) error {
	fd, err := c.State.Guest.Open()
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return sys.PidfdSignal(fd, sig)
}

// restartable tells whether the policy brings a container back that ended so.
func restartable(p spec.Restart, st *sandbox.State) bool {
	switch p.Policy {
	case "always", "unless-stopped":
		return !st.StoppedByUser
	case "on-failure":
		return !st.StoppedByUser && st.ExitCode != 0 && (p.Max == 0 || st.Restarts < p.Max)
	}
	return false
}
