package supervisor

import (
	"context"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns"
)

// Env is what serving a container needs of the rest of the program.
type Env struct {
	Dirs      *sandbox.Dirs
	Namespace *userns.Namespace
	Network   Network // nil: no network but none and host
	Group     Group   // nil: no cgroup
	// Join finds the place of a further process of a running container; nil for none.
	Join func(ctx context.Context, c *sandbox.Snapshot) (Placement, error)
	// RemoveTree removes a directory that may hold files of mapped ids: a worker inside the namespace does it.
	RemoveTree func(ctx context.Context, dir string) error
	// FuseOverlay finds fuse-overlayfs, for a root that needs it; "" where it is not installed.
	FuseOverlay func() string
}

// Network connects a container that is about to run.
type Network interface {
	// Attach gives the network namespace of process pid its links and addresses, and publishes ports. What it returns is
	// kept in the state, for inspect.
	Attach(ctx context.Context, c *sandbox.Snapshot, pid int) (endpoint []byte, err error)
	// Release takes back what Attach gave. It is idempotent.
	Release(ctx context.Context, c *sandbox.Snapshot) error
}

// Group is where a container's limits are put in force.
type Group interface {
	// Prepare makes the container's cgroup, if it gets one, and says what the birth list must do itself.
	Prepare(ctx context.Context, c *sandbox.Snapshot) (Placement, error)
	// Started is told that the command runs; watchdogs start here. After an error the container does not go on.
	Started(ctx context.Context, c *sandbox.Snapshot) error
	// Adopt continues with a container whose server died.
	Adopt(ctx context.Context, c *sandbox.Snapshot)
	// Leave is told that another process will serve the container.
	Leave(c *sandbox.Snapshot)
	// Act changes the limits of a container that runs, or stops or continues its processes. Body and answer are the
	// implementation's.
	Act(ctx context.Context, c *sandbox.Snapshot, act Act, body []byte) ([]byte, error)
	// OOMKilled tells whether a process of the container was killed for want of memory.
	OOMKilled(c *sandbox.Snapshot) bool
	// Release removes the cgroup. It is idempotent.
	Release(ctx context.Context, c *sandbox.Snapshot) error
}

// An Act is something that is done to the limits of a running container.
type Act string

// The acts.
const (
	Update  Act = "update"
	Pause   Act = "pause"
	Unpause Act = "unpause"
)

// A Placement is where a process is born and what it limits itself with.
type Placement struct {
	CgroupFD int // the container's cgroup, -1 for none
	HolderFD int // the holder's, 0 or -1 for none
	Affinity []byte
	Nice     int
	Rlimits  []spec.Rlimit
	Nproc    int64 // processes of the whole container, 0 for no limit
	Upper    int64 // bytes of memory that hold what is written to the root; 0 for none
}

// Close closes the descriptors.
func (p *Placement) Close() {
	for _, fd := range []int{p.CgroupFD, p.HolderFD} {
		if fd > 0 {
			_ = syscall.Close(fd)
		}
	}
}
