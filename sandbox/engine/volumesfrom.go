package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/moss-sandbox/moss/sandbox/spec"
)

// volumesFrom are the volumes and bind mounts of other containers (--volumes-from NAME[:ro|rw]). A file system in memory is
// its container's alone. They are not anonymous here: they go with the container that they were made for.
func (e *Engine) volumesFrom(ctx context.Context, names []string) (out []spec.Mount, err error) {
	for _, typed := range names {
		name, mode, has := strings.Cut(typed, ":")
		if name == "" {
			return nil, fmt.Errorf("invalid volumes-from specification: %q", typed)
		}
		readOnly := false
		for m := range strings.SplitSeq(mode, ",") {
			switch m {
			case "ro":
				readOnly = true
			case "rw", "z", "Z":
			default:
				if has {
					return nil, fmt.Errorf("invalid mode for volumes-from: %s", mode)
				}
			}
		}
		c, err := e.Find(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, m := range c.Spec.Mounts {
			if m.Type == spec.Tmpfs || taken(out, m.Target) {
				continue
			}
			m.ReadOnly, m.Anon, m.NoCopy = m.ReadOnly || readOnly, false, true
			out = append(out, m)
		}
	}
	return out, nil
}
