package engine

import (
	"os"
	"time"

	"github.com/moss-sandbox/moss/limits/stats"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// OpenStats prepares reading what a running container uses, again and again. The caller closes the result. fs.ErrNotExist
// where it has ended.
func (e *Engine) OpenStats(c *sandbox.Snapshot) (*stats.Source, error) {
	in := stats.Container{
		Pid: c.State.Guest.PID, Shared: !c.Spec.Host.PID.Owned(), NoNet: c.Spec.Host.Network == string(spec.FromHost), Limit: MemoryLimit(c),
	}
	if s, ok := carried(c); ok && s.Carrier() != nil {
		in.Group = s.Carrier()
	}
	return stats.Open(in)
}

// MemoryLimit is the limit in force that no cgroup knows, 0 for none.
func MemoryLimit(c *sandbox.Snapshot) int64 {
	s, _ := carried(c)
	return s.Plan.Watch.Memory
}

// LastEvent is when something last happened to a container, an image, a network or a volume.
func (e *Engine) LastEvent() time.Time {
	st, err := os.Stat(e.Dirs.Data + "/events")
	if err != nil { // nothing yet
		return time.Time{}
	}
	return st.ModTime()
}
