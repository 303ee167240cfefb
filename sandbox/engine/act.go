package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
)

// Pause stops every process of a running container.
func (e *Engine) Pause(ctx context.Context, name string) error {
	c, lock, err := e.active(ctx, name)
	if err != nil {
		return err
	}
	defer lock.Close()
	if c.State.Status == sandbox.Paused {
		return stateError("Container %s is already paused", c.ID)
	}
	if _, err := e.Supervisor().Act(ctx, c.Sandbox, supervisor.Pause, nil); err != nil {
		return fmt.Errorf("cannot pause container %s: %w", c.ID, err)
	}
	e.Dirs.Emit(c.Event("pause"))
	return nil
}

// Unpause lets a paused container go on.
func (e *Engine) Unpause(ctx context.Context, name string) error {
	c, lock, err := e.active(ctx, name)
	if err != nil {
		return err
	}
	defer lock.Close()
	if c.State.Status != sandbox.Paused {
		return stateError("Container %s is not paused", c.ID)
	}
	return e.resume(ctx, c)
}

// resume lets a container's processes go on, so that they can hear a signal.
func (e *Engine) resume(ctx context.Context, c *sandbox.Snapshot) error {
	if _, err := e.Supervisor().Act(ctx, c.Sandbox, supervisor.Unpause, nil); err != nil {
		return fmt.Errorf("cannot unpause container %s: %w", c.ID, err)
	}
	e.Dirs.Emit(c.Event("unpause"))
	return nil
}

// hear lets a paused container go on that was sent a signal, as Docker does.
func (e *Engine) hear(ctx context.Context, c *sandbox.Snapshot) {
	if c.State.Status == sandbox.Paused {
		_ = e.resume(ctx, c) // the signal may have ended it
	}
}

// active finds a container whose processes live, and takes the lock on its life.
func (e *Engine) active(ctx context.Context, name string) (c *sandbox.Snapshot, lock interface{ Close() error }, err error) {
	if c, err = e.Find(ctx, name); err != nil {
		return nil, nil, err
	}
	if err := foreign(c); err != nil {
		return nil, nil, err
	}
	if lock, err = c.Lock(ctx); err != nil {
		return nil, nil, err
	}
	if c, err = c.Look(); err == nil {
		err = mustLive(c)
	}
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return c, lock, nil
}

func mustLive(c *sandbox.Snapshot) error {
	switch c.State.Status {
	case sandbox.Running, sandbox.Paused:
		return nil
	case sandbox.Restarting:
		return stateError("Container %s is restarting, wait until the container is running", c.ID)
	case sandbox.Created, sandbox.Exited, sandbox.Removing, sandbox.Dead:
	}
	return stateError("container %s is not running", c.ID)
}

// A Change is what update changes; what is not set stays.
type Change struct {
	Limits  limits.Limits
	Restart *spec.Restart
	Strict  bool
}

// Update changes limits and restart policy of a container, running or not. Warnings are for the user, one line.
func (e *Engine) Update(ctx context.Context, name string, ch Change) (warnings []string, err error) {
	c, err := e.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := foreign(c); err != nil {
		return nil, err
	}
	lock, err := c.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if c, err = c.Look(); err != nil {
		return nil, err
	}
	sp := *c.Spec
	if warnings, err = e.changed(&sp, ch); err != nil {
		return nil, err
	}
	if mustLive(c) == nil && !ch.Limits.Empty() {
		late, err := e.updateRunning(ctx, c, ch.Limits)
		if err != nil {
			return nil, fmt.Errorf("Cannot update container %s: %w", c.ID, err)
		}
		if late {
			warnings = append(warnings, "a part of the change waits for the container's next start")
		}
	}
	if err := c.SaveSpec(&sp); err != nil {
		return nil, err
	}
	e.Dirs.Emit(c.Event("update"))
	return warnings, nil
}

// changed lays a change over a specification.
func (e *Engine) changed(sp *spec.Spec, ch Change) (warnings []string, err error) {
	if ch.Restart != nil {
		if sp.AutoRemove && ch.Restart.Policy != "no" {
			return nil, stateError("Restart policy cannot be updated because AutoRemove is enabled for the container")
		}
		sp.Restart = *ch.Restart
	}
	if ch.Limits.Empty() {
		return nil, nil
	}
	old, err := Limits(sp)
	if err != nil {
		return nil, err
	}
	l, err := old.Updated(ch.Limits)
	if err != nil {
		return nil, fmt.Errorf("Cannot update container %s: %w", sp.ID, err)
	}
	enforced := sp.Limits.Enforced
	sp.Limits.Enforced = map[string]string{}
	for k, v := range enforced {
		sp.Limits.Enforced[k] = v
	}
	before := sp.Limits.Warning
	if err := e.limit(l, ch.Strict || sp.Limits.Strict, sp); err != nil {
		return nil, err
	}
	if w := sp.Limits.Warning; w != "" && w != before && !e.Config.Quiet {
		warnings = []string{w}
	}
	return warnings, nil
}

// updateRunning has the limits changed by whoever carries them.
func (e *Engine) updateRunning(ctx context.Context, c *sandbox.Snapshot, change limits.Limits) (late bool, err error) {
	body, err := json.Marshal(change)
	if err != nil {
		return false, err
	}
	answer, err := e.Supervisor().Act(ctx, c.Sandbox, supervisor.Update, body)
	if err != nil {
		return false, err
	}
	var plan limits.Plan
	err = json.Unmarshal(answer, &plan)
	return plan.Late, err
}
