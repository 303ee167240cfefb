package sandbox

import (
	"errors"
	"io/fs"
	"os"
)

// What is not its server's to say is a file of its own beside the state, which belongs to the server: that the container
// is paused, and how its limits are carried (package limits/warden writes and reads that).

// MarkPaused records that the container's processes are stopped.
func (s *Sandbox) MarkPaused() error {
	f, err := os.OpenFile(s.path("paused"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// ClearPaused takes the mark away.
func (s *Sandbox) ClearPaused() error {
	if err := os.Remove(s.path("paused")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// pausedOr is Paused where the container is marked so, else the status.
func (s *Sandbox) pausedOr(st Status) Status {
	if _, err := os.Lstat(s.path("paused")); err == nil {
		return Paused
	}
	return st
}

// SaveLimits replaces the record of how the limits are carried, bound to this boot.
func (s *Sandbox) SaveLimits(v any) error { return s.dirs.write(s.path("limits.json"), v, BootBound) }

// Limits reads the record; fs.ErrNotExist where nothing is carried.
func (s *Sandbox) Limits(v any) error { return readVersioned(s.path("limits.json"), v) }

// ClearLimits takes the record away: another life begins.
func (s *Sandbox) ClearLimits() { _ = os.Remove(s.path("limits.json")) }
