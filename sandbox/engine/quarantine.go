package engine

import (
	"errors"
	"os"

	"github.com/moss-sandbox/moss/sandbox"
)

// quarantine takes away the file that keeps a container from being read, and tells where it is. A state is one file: the
// container goes on without it. A specification is what the container is: its whole directory goes, unless something of it
// lives. Whoever comes next does not hear of it any more.
func (e *Engine) quarantine(s *sandbox.Sandbox, cause error) error {
	if !errors.Is(cause, sandbox.ErrCorrupt) {
		return cause
	}
	dir := e.Dirs.Data + "/quarantine"
	if err := e.Dirs.Ensure(dir); err != nil {
		return errors.Join(cause, err)
	}
	_, specErr := s.Spec()
	from, to := s.Path("state.json"), dir+"/"+s.ID[:12]+".state.json"
	if specErr != nil {
		if s.Served() {
			return cause
		}
		from, to = s.Dir, dir+"/"+s.ID
	}
	if err := os.Rename(from, to); err != nil {
		return errors.Join(cause, err)
	}
	return hint("look at it, and remove it when it is not needed any more", "container %s: %w; it was put aside as %s", s.ID[:12], cause, to)
}
