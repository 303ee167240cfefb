package warden

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/cgroup"
	"github.com/moss-sandbox/moss/limits/cgroup1"
	"github.com/moss-sandbox/moss/limits/delegate"
	"github.com/moss-sandbox/moss/limits/host"
	"github.com/moss-sandbox/moss/limits/procs"
	"github.com/moss-sandbox/moss/limits/watchdog"
)

// Config says whose limits are carried and how.
type Config struct {
	ID       string // names the cgroup
	Limits   limits.Limits
	Budget   limits.Budget // bounds each container where no cgroup bounds the sum
	NoFilter bool          // the container runs without moss's filter, so affinity can be undone inside
	NoUserns bool          // the container shares a user namespace, so RLIMIT_NPROC cannot count it alone
	Strict   bool          // a weaker mechanism is an error
	Shared   bool          // its pid namespace is not its own
	Upper    string        // the directory that a sampled storage limit counts
	OOM      func()        // called at most once, from any goroutine, when the watchdog kills; nil for none
	Full     func(int64)   // called from any goroutine when a sampled storage limit has paused the container; nil for none
}

// State is what a successor needs, recorded in the container's state.
type State struct {
	Rung   limits.Rung    `json:"rung"`
	Group  *cgroup.Group  `json:"group,omitempty"`
	V1     *cgroup1.Group `json:"v1,omitempty"`
	Limits limits.Limits  `json:"limits"`
	Plan   limits.Plan    `json:"plan"`
	OOM    bool           `json:"oom,omitempty"` // the watchdog has killed
	Paused bool           `json:"paused,omitempty"`
}

// Carrier is a container's cgroup, of either version.
type Carrier interface {
	Update(values []limits.Value) error
	Freeze(ctx context.Context) error
	Thaw() error
	Kill() error
	OOMKills() (uint64, error)
	Usage() (cgroup.Usage, error)
	Remove(ctx context.Context) error
}

var (
	_ Carrier = cgroup.Group{}
	_ Carrier = cgroup1.Group{}
)

// Carrier returns the container's cgroup, nil where there is none.
func (s State) Carrier() Carrier {
	switch {
	case s.Group != nil:
		return *s.Group
	case s.V1 != nil:
		return *s.V1
	}
	return nil
}

// Warden carries the limits of one container. Its methods may be called from any goroutine.
type Warden struct {
	config Config
	place  delegate.Place
	oom    atomic.Bool

	mu     sync.Mutex
	state  State
	pid    int // of the container's first process on the host, 0 before Born
	memory *watchdog.Memory
	duty   *watchdog.Duty
	disk   *watchdog.Disk
	held   []procs.Handle // stopped by Pause where nothing freezes
	stop   context.CancelFunc
	ended  sync.WaitGroup
}

// New validates the limits, decides how each is carried and makes the cgroup. Errors are the user's (dockerd's words, or
// *limits.StrictError), or the host's; nothing is left of a failed one.
func New(place delegate.Place, c Config) (*Warden, error) {
	w := &Warden{config: c, place: place, stop: func() {}}
	plan, err := w.decide(c.Limits)
	if err != nil {
		return nil, err
	}
	w.state = State{Rung: place.Rung, Limits: c.Limits, Plan: plan}
	if err := w.create(plan.Values); err != nil {
		return nil, explain(err)
	}
	return w, nil
}

func (w *Warden) create(values []limits.Value) error {
	switch w.place.Rung {
	case limits.RungScope, limits.RungOwn:
		group, err := w.place.Tree.Create(w.config.ID, values)
		w.state.Group = &group
		return err
	case limits.RungV1:
		group, err := w.place.V1.Create(w.config.ID, values)
		w.state.V1 = &group
		return err
	}
	return nil
}

// Adopt continues with what a predecessor has recorded; Born starts the watching anew.
func Adopt(place delegate.Place, c Config, s State) *Warden {
	c.Limits = s.Limits
	w := &Warden{config: c, place: place, state: s, stop: func() {}}
	w.oom.Store(s.OOM)
	return w
}

// facts are those of the place, as far as they hold for this container.
func (w *Warden) facts(l limits.Limits) (limits.Facts, error) {
	facts, err := host.Facts(w.place, l)
	facts.Filter, facts.Userns = !w.config.NoFilter, !w.config.NoUserns
	return facts, err
}

// decide reads facts only when something is asked for: most containers ask for nothing, and their start waits for it.
func (w *Warden) decide(l limits.Limits) (limits.Plan, error) {
	if l.Empty() && (w.place.Rung == limits.RungScope || w.config.Budget == limits.Budget{}) {
		return limits.Plan{}, nil
	}
	facts, err := w.facts(l)
	if err != nil {
		return limits.Plan{}, err
	}
	if err := l.Validate(facts); err != nil {
		return limits.Plan{}, err
	}
	plan := limits.Decide(facts, l)
	if err := limits.Strict(plan.Weak); err != nil && w.config.Strict {
		return limits.Plan{}, err
	}
	if w.place.Rung == limits.RungScope { // the manager bounds the sum
		return plan, nil
	}
	bounded := limits.Decide(facts, w.config.Budget.Bound(l))
	bounded.Weak = plan.Weak // nobody has asked for the rest
	return bounded, nil
}

// State returns what has to be recorded; ask again after Update, Pause and an OOM.
func (w *Warden) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.state
	s.OOM = w.oom.Load()
	return s
}

// Plan is what the birth list has to do, and what inspect shows as .Moss.Enforced.
func (w *Warden) Plan() limits.Plan { return w.State().Plan }

// Nice is the nice value of the container's processes, in absolute terms; 0 when nothing is to be set.
func (w *Warden) Nice() int {
	plan := w.Plan()
	if plan.Nice == 0 {
		return 0
	}
	return min(19, ownNice()+plan.Nice)
}

// Leaves opens the cgroups of version 2 for clone3(2) CLONE_INTO_CGROUP: holders are born in the first, everything of the container
// (birth, exec, health checks) in the second. Both are -1 where there is none. The caller closes them.
func (w *Warden) Leaves() (holder, container int, err error) {
	group := w.State().Group
	if group == nil {
		return -1, -1, nil
	}
	holder, err = group.HolderFD()
	if err != nil {
		return -1, -1, err
	}
	container, err = group.LeafFD()
	if err != nil {
		_ = syscall.Close(holder)
		return -1, -1, err
	}
	return holder, container, nil
}

// Joins opens what the container's first process, and the first of each exec, writes "0" to before anything else, for cgroups
// of version 1; none elsewhere. The caller closes them.
func (w *Warden) Joins() ([]*os.File, error) {
	group := w.State().V1
	if group == nil {
		return nil, nil
	}
	return group.Joins()
}

// OOMKilled tells whether anything in the container was killed for want of memory. Ask before Remove.
func (w *Warden) OOMKilled() bool {
	if group := w.State().Carrier(); group != nil {
		if n, err := group.OOMKills(); err == nil && n > 0 {
			return true
		}
	}
	return w.oom.Load()
}

// Kill ends everything in the container at once, paused or not, but for the holders. Without a cgroup only what the pid
// namespace holds can be found, and killing its first process does that.
func (w *Warden) Kill() error {
	w.mu.Lock()
	group, pid := w.state.Carrier(), w.pid
	w.mu.Unlock()
	switch {
	case group != nil:
		return group.Kill()
	case pid == 0:
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// Remove ends the watching and removes the cgroup, waiting for its last process until the context ends.
func (w *Warden) Remove(ctx context.Context) error {
	w.Leave()
	if group := w.State().Carrier(); group != nil {
		return group.Remove(ctx)
	}
	return nil
}

// Leave ends the watching and leaves the container and its cgroup as they are, for a hand-over. A container that the duty
// cycle holds is continued.
func (w *Warden) Leave() {
	w.mu.Lock()
	stop := w.stop
	w.mu.Unlock()
	stop()
	w.ended.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	procs.Forget(w.held)
	w.held = nil
}

// explain adds a hint to errors of making a cgroup whose cause a user can remove.
func explain(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return &inUseError{err}
	}
	return err
}

type inUseError struct{ error }

func (e *inUseError) Unwrap() error { return e.error }

func (e *inUseError) Hints() []string {
	return []string{"processes of the container's last run are still there; moss kill ends them"}
}
