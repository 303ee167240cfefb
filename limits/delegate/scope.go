package delegate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/cgroup"
	"github.com/moss-sandbox/moss/limits/systemd"
)

// stopTimeout is how long systemd waits between SIGTERM and SIGKILL when it stops the scope. A container's pid 1 ignores
// SIGTERM unless it handles it, and each such container would hold up a shutdown for the default 90 s.
const stopTimeout = 5 * time.Second

// enterScope asks the manager for the scope, or joins the one that is there.
func enterScope(ctx context.Context, o Options) (cgroup.Tree, error) {
	if tree, ok := insideScope(o); ok {
		return tree, tree.Delegate()
	}
	if err := mounted(); err != nil {
		return cgroup.Tree{}, err
	}
	bus, err := systemd.Dial(ctx, systemd.UserBus())
	if err != nil {
		return cgroup.Tree{}, err
	}
	defer bus.Close()
	for try := 0; ; try++ {
		tree, err := joinScope(ctx, bus, o)
		if errors.Is(err, systemd.ErrNoUnit) {
			tree, err = startScope(ctx, bus, o)
		}
		if err == nil || try == 3 || ctx.Err() != nil {
			return tree, err
		}
		time.Sleep(20 * time.Millisecond) // somebody else makes it, or it is just going away
	}
}

// mounted tells why no scope of this host could carry limits.
func mounted() error {
	point, err := mountPoint()
	if err != nil {
		return err
	}
	return Useful(point)
}

// insideScope recognises a process that was started in the supervisor's group, without a word on the bus.
func insideScope(o Options) (cgroup.Tree, bool) {
	own, err := cgroup.Own()
	if err != nil {
		return cgroup.Tree{}, false
	}
	tree := cgroup.Tree{Dir: filepath.Dir(own), Owner: o.Owner}
	unit := strings.TrimPrefix(filepath.Base(tree.Dir), "_") // systemd escapes names that begin like a controller
	return tree, filepath.Base(own) == strings.TrimPrefix(tree.Supervisor(), "/") && unit == o.Unit
}

// startScope makes the scope with this process as its first.
func startScope(ctx context.Context, bus *systemd.Bus, o Options) (cgroup.Tree, error) {
	numbers := budgetNumbers(o.Budget)
	numbers["TimeoutStopUSec"] = uint64(stopTimeout.Microseconds())
	err := bus.StartScope(ctx, systemd.Scope{Name: o.Unit, Description: "moss containers", PIDs: []int{os.Getpid()}, Numbers: numbers})
	if err != nil {
		return cgroup.Tree{}, err
	}
	dir, err := cgroup.Own() // never built from the name
	if err != nil {
		return cgroup.Tree{}, err
	}
	tree := cgroup.Tree{Dir: dir, Owner: o.Owner}
	return tree, prepare(ctx, &tree)
}

// joinScope has systemd move this process into the supervisor's group: a process outside may not do that itself, since the
// common ancestor is root's.
func joinScope(ctx context.Context, bus *systemd.Bus, o Options) (cgroup.Tree, error) {
	dir, err := scopeDir(ctx, bus, o.Unit)
	if err != nil {
		return cgroup.Tree{}, err
	}
	tree := cgroup.Tree{Dir: dir, Owner: o.Owner}
	if err := tree.MakeSupervisor(); err != nil { // gone in between: the next try starts another
		return tree, err
	}
	if err := bus.Attach(ctx, o.Unit, tree.Supervisor(), os.Getpid()); err != nil {
		return tree, err
	}
	if o.Budget != nil {
		if err := bus.SetNumbers(ctx, o.Unit, budgetNumbers(o.Budget)); err != nil {
			return tree, err
		}
	}
	return tree, prepare(ctx, &tree)
}

func scopeDir(ctx context.Context, bus *systemd.Bus, unit string) (string, error) {
	group, err := bus.ControlGroup(ctx, unit)
	if err != nil {
		return "", err
	}
	point, err := mountPoint()
	return filepath.Join(point, group), err
}

func mountPoint() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	point, ok := cgroup.MountPoint(string(mounts))
	if !ok {
		return "", fmt.Errorf("version 2 of cgroups is not mounted: %w", errNotGiven)
	}
	return point, nil
}

// prepare waits for a process that has made the scope at the same moment to leave its top.
func prepare(ctx context.Context, tree *cgroup.Tree) error {
	for {
		err := tree.Prepare()
		if !errors.Is(err, syscall.EBUSY) || ctx.Err() != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// budgetNumbers are the properties of the scope. They go through systemd, because it puts back at each daemon-reload what
// it knows. Without TasksMax=infinity the scope would have DefaultTasksMax, for all containers together.
func budgetNumbers(b *limits.Budget) map[string]uint64 {
	numbers := map[string]uint64{"TasksMax": systemd.Infinity}
	if b == nil {
		return numbers
	}
	numbers["MemoryMax"], numbers["CPUQuotaPerSecUSec"] = systemd.Infinity, systemd.Infinity
	if b.Memory > 0 {
		numbers["MemoryMax"] = uint64(b.Memory)
	}
	if b.CPUs > 0 {
		numbers["CPUQuotaPerSecUSec"] = uint64(b.CPUs) / 1000
	}
	if b.Pids > 0 {
		numbers["TasksMax"] = uint64(b.Pids)
	}
	return numbers
}

// Budget changes the ceiling of a running scope.
func Budget(ctx context.Context, unit string, b limits.Budget) error {
	bus, err := systemd.Dial(ctx, systemd.UserBus())
	if err != nil {
		return err
	}
	defer bus.Close()
	if err := bus.SetNumbers(ctx, unit, budgetNumbers(&b)); err != nil {
		return fmt.Errorf("setting the budget: %w", err)
	}
	return nil
}
