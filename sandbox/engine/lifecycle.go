package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Find looks at the container that a name or id addresses, and settles what its last server did not come to.
func (e *Engine) Find(ctx context.Context, name string) (*sandbox.Snapshot, error) {
	s, err := e.Dirs.Find(name)
	if err != nil {
		return nil, err
	}
	c, err := s.Look()
	if errors.Is(err, os.ErrNotExist) {
		return nil, &sandbox.NotFoundError{Name: name}
	}
	if err != nil {
		return nil, e.quarantine(s, err)
	}
	if !c.Unsettled {
		return c, nil
	}
	if err := e.settle(ctx, s); err != nil {
		return nil, err
	}
	if c, err = s.Look(); errors.Is(err, os.ErrNotExist) {
		return nil, &sandbox.NotFoundError{Name: name}
	}
	return c, err
}

// settle records the end of a container that nobody serves, or has the supervisor take it over if it lives.
func (e *Engine) settle(ctx context.Context, s *sandbox.Sandbox) error {
	env, err := e.Env()
	if err != nil {
		return err
	}
	needs, err := env.Recover(ctx, s)
	if needs {
		return e.Supervisor().Ensure(ctx)
	}
	return err
}

// List looks at all containers. One that cannot be read is told in bad; it does not keep the others from being seen.
func (e *Engine) List(ctx context.Context) (all []*sandbox.Snapshot, bad []error) {
	e.sweepHalves(ctx)
	boxes, err := e.Dirs.List()
	if err != nil {
		return nil, []error{err}
	}
	server := false
	for _, s := range boxes {
		c, err := s.Look()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			bad = append(bad, e.quarantine(s, err))
			continue
		}
		if c.Unsettled || c.Spec.AutoRemove && c.State.Status == sandbox.Exited && !s.Served() {
			needs, c2, err := e.settleListed(ctx, s)
			if err != nil || c2 == nil {
				continue
			}
			server = server || needs
			c = c2
		}
		all = append(all, c)
	}
	if server {
		_ = e.Supervisor().Ensure(ctx) // what lives is shown either way
	}
	return all, bad
}

// settleListed settles one of many; nil when it is gone.
func (e *Engine) settleListed(ctx context.Context, s *sandbox.Sandbox) (needs bool, c *sandbox.Snapshot, err error) {
	env, err := e.Env()
	if err != nil {
		return false, nil, err
	}
	if needs, err = env.Recover(ctx, s); err != nil {
		needs = true
	}
	env.Settle(ctx, s)
	c, err = s.Look()
	if err != nil {
		return false, nil, err
	}
	return needs, c, nil
}

// Sweep takes away what killed processes left half-made.
func (e *Engine) Sweep(ctx context.Context) error {
	env, err := e.Env()
	if err != nil {
		return err
	}
	return env.Sweep(ctx)
}

// sweepHalves is Sweep where there is something to be swept away.
func (e *Engine) sweepHalves(ctx context.Context) {
	if _, half, err := e.Dirs.Listing(); err == nil && half {
		_ = e.Sweep(ctx) // what cannot be swept away now is found again
	}
}

// running tells whether a container's processes may live.
func running(c *sandbox.Snapshot) bool { return c.State.Status.Up() }

// ErrForeign is told of a container that another machine or pid namespace runs.
func foreign(c *sandbox.Snapshot) error {
	if c.Foreign {
		return hint("run the command where it was started", "container %s runs elsewhere: on another machine or in another container that shares this directory", c.Spec.Name)
	}
	return nil
}

// Start starts a container that is there, in the background. started is false where it runs already.
func (e *Engine) Start(ctx context.Context, name string) (c *sandbox.Snapshot, started bool, err error) {
	if c, err = e.Find(ctx, name); err != nil {
		return nil, false, err
	}
	if err := foreign(c); err != nil {
		return nil, false, err
	}
	if c.State.Status == sandbox.Paused {
		return nil, false, stateError("cannot start a paused container, try unpause instead")
	}
	if running(c) {
		return c, false, nil
	}
	lock, err := c.Lock(ctx)
	if err != nil {
		return nil, false, err
	}
	defer lock.Close()
	prepareAgain(c)
	if err := e.Supervisor().Start(ctx, c.ID, [4]uint16{}); err != nil {
		return nil, false, err
	}
	c, err = c.Look()
	return c, true, err
}

// prepareAgain makes a container's upper directory usable once more: one that was mounted volatile and not unmounted
// refuses (overlayfs, "incompat/volatile").
func prepareAgain(c *sandbox.Snapshot) {
	for _, t := range c.Spec.Root.Trees {
		if t.Work != "" {
			supervisor.FreshWork(c.Dir + "/" + t.Work)
		}
	}
}

// StopTimeout is the time between the stop signal and SIGKILL: what was asked for, else the container's, else ten seconds.
func StopTimeout(c *sandbox.Snapshot, asked *int) time.Duration {
	n := 10
	if c.Spec.Process.StopTimeout != nil {
		n = *c.Spec.Process.StopTimeout
	}
	if asked != nil {
		n = *asked
	}
	if n < 0 {
		return -1
	}
	return time.Duration(n) * time.Second
}

// Stop sends the stop signal and, after the timeout (negative: never), SIGKILL. It returns when the container has ended
// and its end is recorded. stopped is false where it did not run.
func (e *Engine) Stop(ctx context.Context, name string, sig syscall.Signal, timeout *int) (stopped bool, err error) {
	c, err := e.Find(ctx, name)
	if err != nil {
		return false, err
	}
	if err := foreign(c); err != nil {
		return false, err
	}
	if !running(c) {
		return false, nil
	}
	if err := e.markStopped(ctx, c); err != nil {
		return false, err
	}
	if sig == 0 {
		sig = stopSignal(c)
	}
	e.Dirs.Emit(c.Event("kill", "signal", fmt.Sprint(int(sig))))
	_ = supervisor.Signal(c, sig) // it may have ended meanwhile
	e.hear(ctx, c)
	if !e.awaitEnd(ctx, c, StopTimeout(c, timeout)) {
		_ = supervisor.Signal(c, syscall.SIGKILL)
		e.awaitEnd(ctx, c, -1)
	}
	if err := e.awaitRecorded(ctx, c); err != nil {
		return false, err
	}
	e.Dirs.Emit(c.Event("stop"))
	return true, nil
}

// stopSignal is the container's own.
func stopSignal(c *sandbox.Snapshot) syscall.Signal {
	if s, err := ParseSignal(c.Spec.Process.StopSignal); err == nil {
		return s
	}
	return syscall.SIGTERM
}

// markStopped keeps the restart policy from bringing the container back. The record is the state file's, written under the
// container's lock: its server reads it before it decides.
func (e *Engine) markStopped(ctx context.Context, c *sandbox.Snapshot) error {
	lock, err := c.Lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	return c.MarkStopped()
}

// awaitEnd waits for the first process's end; false after the timeout (negative: none).
func (e *Engine) awaitEnd(ctx context.Context, c *sandbox.Snapshot, timeout time.Duration) bool {
	fd, err := c.State.Guest.Open()
	if err != nil {
		return true
	}
	defer syscall.Close(fd)
	f, err := sys.PidfdFile(fd)
	if err != nil {
		return true
	}
	defer f.Close()
	ms := -1
	if timeout >= 0 {
		ms = int(timeout / time.Millisecond)
		_ = f.SetReadDeadline(time.Now().Add(timeout))
	}
	defer context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Now()) })() // whoever asked has gone
	err = sys.AwaitReadable(f)
	switch {
	case err == nil || ctx.Err() != nil:
		return true
	case errors.Is(err, os.ErrDeadlineExceeded):
		ms = 0
	}
	n, _ := sys.Poll([]sys.PollFd{{Fd: int32(fd), Events: sys.PollIn}}, ms) // a kernel whose pidfds cannot be waited for
	return n > 0
}

// awaitRecorded waits until a container's server has recorded its end, and does so itself if there is none.
func (e *Engine) awaitRecorded(ctx context.Context, c *sandbox.Snapshot) error {
	deadline := time.Now().Add(sandbox.LockWait)
	settled := false // once; on a full disk it stays unrecorded, and the lock file tells
	for pause := 200 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		now, err := c.Look()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case !now.Served() && now.Unsettled && !(settled && !running(now)):
			if err := e.settle(ctx, c.Sandbox); err != nil {
				return err
			}
			settled = true
		case !running(now) && !now.Served(), now.State.Guest != c.State.Guest:
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("container %s has not ended: %w", c.Spec.Name, sandbox.ErrBusy)
		}
		time.Sleep(pause)
	}
}

// Kill sends a signal.
func (e *Engine) Kill(ctx context.Context, name string, sig syscall.Signal) error {
	c, err := e.Find(ctx, name)
	if err != nil {
		return err
	}
	if err := foreign(c); err != nil {
		return err
	}
	if !running(c) {
		return stateError("cannot kill container: %s: container %s is not running", name, c.ID)
	}
	if sig == syscall.SIGKILL || sig == stopSignal(c) {
		if err := e.markStopped(ctx, c); err != nil {
			return err
		}
	}
	e.Dirs.Emit(c.Event("kill", "signal", fmt.Sprint(int(sig))))
	err = supervisor.Signal(c, sig)
	e.hear(ctx, c)
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		err = nil
	}
	if err == nil && sig == syscall.SIGKILL {
		e.awaitEnd(ctx, c, -1)
		if err = e.awaitRecorded(ctx, c); errors.Is(err, fs.ErrNotExist) { // it was to be removed at its end
			err = nil
		}
	}
	return err
}

// Remove removes a container; one that runs only with force, which kills it at once. Volumes tells to remove its anonymous
// volumes too.
func (e *Engine) Remove(ctx context.Context, name string, force, volumes bool) error {
	e.sweepHalves(ctx)
	c, err := e.Find(ctx, name)
	if err != nil {
		return err
	}
	if err := foreign(c); err != nil {
		return err
	}
	if running(c) {
		if !force {
			if c.State.Status == sandbox.Paused {
				return stateError("cannot remove container %q: container is paused and must be unpaused first", "/"+c.Spec.Name)
			}
			return stateError("cannot remove container %q: container is running: stop the container before removing or force remove", "/"+c.Spec.Name)
		}
		if err := e.killToRemove(ctx, c); err != nil {
			return err
		}
	}
	env, err := e.Env()
	if err != nil {
		return err
	}
	err = e.removeUnserved(ctx, env, c)
	if errors.Is(err, os.ErrNotExist) { // it was to be removed at its end anyway
		err = nil
	}
	if c.Spec.ImageID == "" { // a directory
		e.collectViews()
	}
	if err == nil && volumes {
		err = env.RemoveAnonymous(ctx, c)
	}
	return err
}

func (e *Engine) killToRemove(ctx context.Context, c *sandbox.Snapshot) error {
	if err := e.markStopped(ctx, c); err != nil {
		return err
	}
	_ = supervisor.Signal(c, syscall.SIGKILL)
	e.hear(ctx, c)
	e.awaitEnd(ctx, c, -1)
	return e.awaitRecorded(ctx, c)
}

// Wait waits for a container's end and returns its exit code.
func (e *Engine) Wait(ctx context.Context, name string) (int, error) {
	c, err := e.Find(ctx, name)
	if err != nil {
		return 0, err
	}
	for running(c) && !c.Foreign {
		e.awaitEnd(ctx, c, -1)
		if err := e.awaitRecorded(ctx, c); err != nil && !errors.Is(err, sandbox.ErrBusy) {
			return 0, err
		}
		now, err := c.Look()
		if errors.Is(err, os.ErrNotExist) { // removed at its end: the outcome went with it
			return e.exitOf(c.ID, 0), nil
		}
		if err != nil {
			return 0, err
		}
		if now.State.Status == sandbox.Restarting {
			time.Sleep(20 * time.Millisecond)
		}
		c = now
	}
	return c.State.ExitCode, nil
}

// lastExit finds the exit code of a removed container in the events.
func (e *Engine) lastExit(id string) (code int, found bool) {
	b, err := os.ReadFile(e.Dirs.Data + "/events")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, id) && strings.Contains(line, `"act":"die"`) {
			_, rest, _ := strings.Cut(line, `"exitCode":"`)
			if n, err := fmt.Sscanf(rest, "%d", &code); n == 1 && err == nil {
				found = true
			}
		}
	}
	return code, found
}
