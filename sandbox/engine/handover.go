package engine

import "context"

// HandOver gives a container that this process serves to the supervisor: this process must end afterwards, or at least not
// read from the container any more.
func (e *Engine) HandOver(ctx context.Context, c *Created) error {
	c.endControl()
	c.Served.Close()
	return e.Supervisor().Ensure(ctx)
}

// Discard removes a container that was made and not started.
func (e *Engine) Discard(ctx context.Context, c *Created) error {
	defer c.Served.Close()
	env, err := e.Env()
	if err != nil {
		return err
	}
	return env.Remove(ctx, c.Snapshot)
}
