package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Rename gives a container another name. The old one is free afterwards; what a kill in the middle leaves is a name that
// leads to the container as well, which the next to take it finds out.
func (e *Engine) Rename(ctx context.Context, name, to string) error {
	c, err := e.Find(ctx, name)
	if err != nil {
		return err
	}
	if err := foreign(c); err != nil {
		return err
	}
	to = strings.TrimPrefix(to, "/")
	if to == "" {
		return errors.New("Neither old nor new names may be empty")
	}
	if err := checkName(to); err != nil {
		return fmt.Errorf("Error when allocating new name: %w", err)
	}
	lock, err := c.Lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	if c.Spec, err = c.Sandbox.Spec(); err != nil { // as it is under the lock
		return err
	}
	old := c.Spec.Name
	if old == to {
		return errors.New("Renaming a container with the same name as its current name")
	}
	if err := e.Dirs.TakeName(to, c.ID); err != nil {
		return fmt.Errorf("Error when allocating new name: %w", err)
	}
	c.Spec.Name = to
	if err := c.SaveSpec(c.Spec); err != nil {
		e.Dirs.DropName(to, c.ID)
		return err
	}
	e.Dirs.DropName(old, c.ID)
	e.Dirs.Emit(c.Event("rename", "oldName", "/"+old))
	return e.renameOnNetworks(c)
}
