package supervisor

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/userns"
)

func here() userns.Where { return userns.Here() }

// lay records the end of a container of which nothing lives any more: its network and limits are cleaned up, and it is
// removed if it was to be. Its caller has the right to serve it.
func (e *Env) lay(ctx context.Context, c *sandbox.Snapshot) {
	if c.State.Finished.IsZero() {
		c.State.Finished = time.Now()
	}
	if c.State.Status != sandbox.Exited {
		c.State.Status = sandbox.Exited
	}
	if usesNetwork(c.Spec.Host.Network) && e.Network != nil {
		_ = e.Network.Release(ctx, c)
	}
	if e.Group != nil {
		c.State.OOMKilled = c.State.OOMKilled || e.Group.OOMKilled(c)
		_ = e.Group.Release(ctx, c)
	}
	if c.Spec.AutoRemove {
		_ = e.Remove(ctx, c)
		return
	}
	_ = c.SaveState(c.State)
}

// Settle removes a container that has ended and was to be removed, whose server did not come to it.
func (e *Env) Settle(ctx context.Context, sb *sandbox.Sandbox) {
	served, err := sb.TryServe()
	if err != nil {
		return
	}
	defer served.Close()
	if c, err := sb.LookServing(); err == nil && c.Spec.AutoRemove && c.State.Status == sandbox.Exited {
		_ = e.Remove(ctx, c)
	}
}

// Recover is what any command does about a container that it finds unsettled, without a supervisor: one of which nothing
// lives is recorded as exited. One that lives is left to the supervisor; the result tells that one is needed.
func (e *Env) Recover(ctx context.Context, sb *sandbox.Sandbox) (needsServer bool, err error) {
	served, err := sb.TryServe()
	if errors.Is(err, sandbox.ErrBusy) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer served.Close()
	c, err := sb.LookServing()
	if err != nil || !c.Unsettled {
		return false, err
	}
	if c.Orphan {
		return false, c.EndOrphans(userns.Process{})
	}
	g, err := e.Adopt(c, served)
	if errors.Is(err, os.ErrProcessDone) {
		e.lay(ctx, c)
		return false, nil
	}
	if err != nil {
		return true, err
	}
	g.closeFiles()
	return true, nil
}
