package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
)

// ours are the names that moss makes in its data root. A root that was named by the user may hold other things, which stay.
const ours = "about blobs boot builds cache container-names containers empty events events.1 images images.json layers lock locks machine mnt names " +
	"networks quarantine run sessions trash uppers volumes"

// Reset removes every container, image, volume and file of this account, running or not, readable or not. It goes on after
// errors, so that what can go is gone.
func (e *Engine) Reset(ctx context.Context) error {
	var errs error
	boxes, err := e.Dirs.List()
	errs = errors.Join(errs, err)
	for _, s := range boxes {
		if c, err := s.Look(); err == nil && c.Foreign {
			return foreign(c)
		}
	}
	for _, s := range boxes {
		if err := e.Remove(ctx, s.ID, true, true); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = errors.Join(errs, err)
		}
	}
	errs = errors.Join(errs, e.DisableBoot())
	for name := range strings.FieldsSeq(ours) {
		if err := e.removeAll(ctx, e.Dirs.Data+"/"+name); err != nil {
			errs = errors.Join(errs, err)
		}
	}
	if e.Dirs.Run != e.Dirs.Data+"/run" {
		errs = errors.Join(errs, os.RemoveAll(e.Dirs.Run))
	}
	_ = os.Remove(e.Dirs.Data) // stays if something else lies in it
	return errs
}

// removeAll removes a tree by this process as far as that goes; what mapped ids own is a worker's task.
func (e *Engine) removeAll(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if os.RemoveAll(path) == nil {
		return nil
	}
	return e.Worker().RemoveTree(ctx, path)
}
