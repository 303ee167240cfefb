package engine

import (
	"fmt"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox/spec"
)

// rootBinds warns the machine's root of directories that it binds for writing and that the container cannot write: root's
// containers run with ids of their own, and the machine's uid 0 is never one of them.
func (e *Engine) rootBinds(mounts []spec.Mount) (warnings []string, err error) {
	if !e.realRoot {
		return nil, nil
	}
	ns, err := e.Namespace()
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		var st syscall.Stat_t
		if m.Type != spec.Bind || m.ReadOnly || m.Source == "" || syscall.Stat(m.Source, &st) != nil || ns.Map.HasUID(st.Uid) || st.Mode&0o002 != 0 {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("%s cannot be written inside: it belongs to user %d of this machine, and the containers of root have ids of their own; "+
			"give it to them with: chown -R %d:%d %s", m.Source, st.Uid, e.Dirs.UID, e.Dirs.GID, m.Source))
	}
	return warnings, nil
}
