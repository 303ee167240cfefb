package engine

import (
	"context"
	"errors"

	"github.com/moss-sandbox/moss/sandbox"
)

// PruneContainers removes the containers that do not run and that keep accepts, and returns their ids. One that is started
// meanwhile stays.
func (e *Engine) PruneContainers(ctx context.Context, keep func(*sandbox.Snapshot) bool) (removed []string, err error) {
	all, bad := e.List(ctx)
	err = errors.Join(bad...)
	for _, c := range all {
		if running(c) || c.Foreign || c.State.Status == sandbox.Removing || c.Served() || !keep(c) {
			continue
		}
		if rmErr := e.Remove(ctx, c.ID, false, false); rmErr != nil {
			err = errors.Join(err, rmErr)
			continue
		}
		removed = append(removed, c.ID)
	}
	e.collectViews()
	return removed, err
}

// PruneVolumes removes the volumes that no container mounts and that keep accepts, and returns their names.
func (e *Engine) PruneVolumes(ctx context.Context, keep func(*Volume) bool) (removed []string, err error) {
	all, err := e.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if len(v.Users) > 0 || !keep(v) {
			continue
		}
		if rmErr := e.RemoveVolume(ctx, v.Name); rmErr != nil {
			err = errors.Join(err, rmErr)
			continue
		}
		removed = append(removed, v.Name)
	}
	return removed, err
}
