package supervisor

import (
	"context"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/userns"
)

// Env is what serving a container needs of the rest of the program.
type Env struct {
	Dirs      *sandbox.Dirs
	Namespace *userns.Namespace
	Network   Network // nil: no network but none and host
	Group     Group   // nil: no cgroup
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
	// Started is told the first process; watchdogs start here.
	Started(ctx context.Context, c *sandbox.Snapshot, pid int)
	// OOMKilled tells whether a process of the container was killed for want of memory.
	OOMKilled(c *sandbox.Snapshot) bool
	// Release removes the cgroup. It is idempotent.
	Release(ctx context.Context, c *sandbox.Snapshot) error
}

// A Placement is where a process is born and what it limits itself with.
type Placement struct {
	CgroupFD int // -1 for none
	Affinity []byte
	Nice     int
}
