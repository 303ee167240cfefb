package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/output"
)

// A Condition is what a wait waits for.
type Condition string

// The conditions, by Docker's names.
const (
	NotRunning Condition = "not-running"
	NextExit   Condition = "next-exit" // the end of this run, or of the next where it does not run
	Removed    Condition = "removed"
	Healthy    Condition = "healthy" // moss's own: its health check has gone well
)

// WaitFor waits until a condition holds of a container that was looked at, and returns its exit code. It holds no lock and
// no thread, and ends with ctx.
func (e *Engine) WaitFor(ctx context.Context, c *sandbox.Snapshot, until Condition) (int, error) {
	w := output.NewWatch(c.Dir)
	defer w.Close()
	code := c.State.ExitCode
	for {
		now, err := c.Look()
		if errors.Is(err, os.ErrNotExist) {
			return e.exitOf(c.ID, code), nil
		}
		if err != nil {
			return 0, err
		}
		if now.Unsettled { // its server has died
			if err := e.settle(ctx, c.Sandbox); err != nil {
				return 0, err
			}
		}
		code = now.State.ExitCode
		switch {
		case until == NotRunning && !running(now) && !now.Unsettled:
			return code, nil
		case until == Healthy && now.State.Health != nil && now.State.Health.Status == sandbox.Healthy && running(now):
			return 0, nil
		case until == Healthy && now.Spec.Health == nil:
			return 0, hint("give it one: moss run --health-cmd COMMAND …", "container %s has no health check", c.Spec.Name)
		case until == Healthy && !running(now):
			return 0, fmt.Errorf("container %s has ended before it was healthy", c.Spec.Name)
		case until == NextExit && endedSince(c, now):
			if now.State.Status == sandbox.Running {
				code = e.exitOf(c.ID, code)
			}
			return code, nil
		}
		if err := w.Wait(ctx, time.Second); err != nil {
			return 0, err
		}
	}
}

// endedSince tells whether a run has ended since a container was looked at before.
func endedSince(before, now *sandbox.Snapshot) bool {
	b, n := &before.State, &now.State
	if now.Unsettled {
		return false
	}
	if running(before) && b.Status != sandbox.Restarting {
		return n.Guest != b.Guest || n.Status != sandbox.Running && n.Status != sandbox.Paused
	}
	return !n.Started.Equal(b.Started) && (n.Status == sandbox.Exited || n.Status == sandbox.Restarting || n.Restarts > b.Restarts)
}

// exitOf is the exit code of a container's last run as the events have it, else the one that is known.
func (e *Engine) exitOf(id string, known int) int {
	if code, ok := e.lastExit(id); ok {
		return code
	}
	return known
}
