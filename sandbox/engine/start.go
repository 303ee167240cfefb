package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/sys"
)

// StartHere starts a container as a child of this process, which serves it: a foreground run. The caller calls Serve on
// the guest and Done afterwards.
func (e *Engine) StartHere(ctx context.Context, c *Created, size [4]uint16) (*supervisor.Guest, error) {
	if err := sys.SetSubreaper(); err != nil { // where the holder is killed, the exit status comes here
		return nil, err
	}
	env, err := e.Env()
	if err != nil {
		return nil, err
	}
	g, err := env.Birth(ctx, c.Snapshot, c.Served, size)
	if err != nil {
		e.failed(ctx, env, c, err)
		return nil, err
	}
	e.Dirs.Emit(c.Event("start"))
	if e.limits.find(c.ID) != nil {
		c.control, _ = env.Control(ctx, c.Snapshot) // without it the limits hold all the same, but cannot be changed
	}
	return g, nil
}

// failed records that a container could not be started, or removes it if it was to be.
func (e *Engine) failed(ctx context.Context, env *supervisor.Env, c *Created, err error) {
	defer c.Served.Close()
	if c.Spec.AutoRemove {
		_ = env.Remove(ctx, c.Snapshot)
		return
	}
	c.State.Error, c.State.ExitCode = err.Error(), 128
	var ce *supervisor.CommandError
	if errors.As(err, &ce) {
		c.State.ExitCode = ce.Code
	}
	_ = c.SaveState(c.State)
}

// Done ends a foreground run whose Serve has returned.
func (e *Engine) Done(ctx context.Context, c *Created) error {
	defer c.Served.Close()
	c.endControl()
	if !c.Spec.AutoRemove {
		return nil
	}
	env, err := e.Env()
	if err != nil {
		return err
	}
	return env.Remove(ctx, c.Snapshot)
}

// StartDetached has the supervisor start a container that this process made.
func (e *Engine) StartDetached(ctx context.Context, c *Created) error {
	c.Served.Close() // the supervisor takes it
	err := e.Supervisor().Start(ctx, c.ID, [4]uint16{})
	if err != nil && c.Spec.AutoRemove {
		if env, envErr := e.Env(); envErr == nil {
			_, _ = env.Recover(ctx, c.Sandbox)
			_ = e.removeUnserved(ctx, env, c.Snapshot)
		}
	}
	return err
}

// removeUnserved removes a container that does not run and that nobody serves.
func (e *Engine) removeUnserved(ctx context.Context, env *supervisor.Env, c *sandbox.Snapshot) error {
	served, err := e.serve(ctx, c.Sandbox)
	if err != nil {
		return err
	}
	defer served.Close()
	return env.Remove(ctx, c)
}

// serve waits for the right to serve a container that has just ended.
func (e *Engine) serve(ctx context.Context, s *sandbox.Sandbox) (*os.File, error) {
	deadline := time.Now().Add(sandbox.LockWait)
	for {
		f, err := s.TryServe()
		if err == nil || !errors.Is(err, sandbox.ErrBusy) || ctx.Err() != nil {
			return f, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("container %s: %w", s.ID[:12], sandbox.ErrBusy)
		}
		time.Sleep(time.Millisecond)
	}
}

// Supervisor is the client of the user's supervisor.
func (e *Engine) Supervisor() *supervisor.Client {
	return &supervisor.Client{Dirs: &e.Dirs, Root: e.Dirs.Data}
}

// enterTimeout is how long a supervisor waits for a cgroup: its client waits for it.
const enterTimeout = 6 * time.Second

// RunSupervisor is the supervisor's role.
func RunSupervisor(ctx context.Context, inv *role.Invocation) error {
	var m supervisor.RoleMessage
	if err := inv.Decode(&m); err != nil {
		return err
	}
	own := 0
	if m.Guarded {
		own = supervisor.OwnGuard()
		defer supervisor.EndGuard(own) // who ends on purpose, or cannot begin, is not to be followed
	}
	e, err := Open(m.Root)
	if err != nil {
		return err
	}
	e.limits.always = true
	enter, cancel := context.WithTimeout(ctx, enterTimeout)
	e.limits.enter(enter) // before the guard is started, which is to be in the same cgroup
	cancel()
	e.keepSwitch() // of containers whose last server died
	s := &supervisor.Server{Dirs: &e.Dirs, Root: m.Root, Env: e.Env, Guard: own}
	return s.Run(ctx, inv.Files[0])
}
