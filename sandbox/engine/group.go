package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/cgroup"
	"github.com/moss-sandbox/moss/limits/delegate"
	"github.com/moss-sandbox/moss/limits/warden"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
)

// group puts limits in force for the containers that this process serves. The cgroup tree is entered at the first container
// that needs it: a foreground run without limits pays nothing. What it does is recorded in the container's directory, so that
// another process can go on with it.
type group struct {
	e      *Engine
	always bool // every container gets a cgroup where there are any, so that update and pause work: the supervisor

	mu      sync.Mutex
	place   *delegate.Place
	wardens map[string]*ward
}

// ward is a container in this process's care.
type ward struct {
	*warden.Warden
	told bool // that memory ran out
}

var _ supervisor.Group = (*group)(nil)

// enter takes the best place for cgroups that this host gives.
func (g *group) enter(ctx context.Context) delegate.Place {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.place == nil {
		o := delegate.Options{Owner: g.owner()}
		if b := g.e.Config.Bound(); b != (limits.Budget{}) {
			o.Budget = &b
		}
		p := delegate.Enter(ctx, o)
		g.place = &p
	}
	return *g.place
}

// owner may clone into a container's cgroup: real root's births run as the first id of its range.
func (g *group) owner() cgroup.Owner {
	if !g.e.realRoot {
		return cgroup.Owner{}
	}
	return cgroup.Owner{UID: g.e.Dirs.UID, GID: g.e.Dirs.GID}
}

// Prepare implements supervisor.Group.
func (g *group) Prepare(ctx context.Context, c *sandbox.Snapshot) (supervisor.Placement, error) {
	none := supervisor.Placement{CgroupFD: -1}
	l, err := Limits(c.Spec)
	if err != nil {
		return none, err
	}
	c.ClearLimits()
	if err := c.ClearPaused(); err != nil {
		return none, err
	}
	wanted := !l.Empty() || g.e.Config.Bound() != limits.Budget{}
	if !wanted && !g.always {
		return none, nil
	}
	place := g.enter(ctx)
	if !wanted && place.Rung == limits.RungNone {
		return none, nil
	}
	w, err := warden.New(place, g.config(c, l))
	if err != nil {
		return none, err
	}
	holder, leaf, err := w.Leaves()
	if err != nil {
		return none, err
	}
	g.add(c.ID, w)
	p := placement(w.Plan())
	p.CgroupFD, p.HolderFD, p.Nice = leaf, holder, w.Nice()
	return p, c.SaveLimits(w.State())
}

func (g *group) add(id string, w *warden.Warden) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wardens[id] = &ward{Warden: w}
}

func (g *group) find(id string) *ward {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wardens[id]
}

func (g *group) drop(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.wardens, id)
}

// placement is what a plan asks of a birth or an exec.
func placement(plan limits.Plan) supervisor.Placement {
	p := supervisor.Placement{CgroupFD: -1, Affinity: plan.Mask(), Nproc: plan.Nproc}
	for _, r := range plan.Rlimits {
		p.Rlimits = append(p.Rlimits, spec.Rlimit{Resource: r.Resource, Name: rlimitName(r.Resource), Soft: r.Soft, Hard: r.Hard})
	}
	if plan.Upper.Tmpfs {
		p.Upper = int64(plan.Upper.Size)
	}
	return p
}

func rlimitName(n int) string {
	for name, number := range limits.RlimitNumbers() {
		if number == n {
			return name
		}
	}
	return fmt.Sprint(n)
}

func (g *group) config(c *sandbox.Snapshot, l limits.Limits) warden.Config {
	return warden.Config{
		ID: c.ID, Limits: l, Budget: g.e.Config.Bound(), NoFilter: !filtered(c.Spec), NoUserns: shares(c.Spec), Strict: c.Spec.Limits.Strict,
		Shared: !c.Spec.Host.PID.Owned(), Upper: c.Path(c.Spec.Root.Trees[0].Upper),
		OOM: func() { g.oom(c) }, Full: func(int64) { g.full(c) },
	}
}

// oom tells once that memory ran out. A watchdog calls it from a goroutine of its own.
func (g *group) oom(c *sandbox.Snapshot) {
	w := g.find(c.ID)
	if w == nil {
		return
	}
	g.mu.Lock()
	told := w.told
	w.told = true
	g.mu.Unlock()
	if told {
		return
	}
	_ = c.SaveLimits(w.State()) // for a successor; the state tells it otherwise
	g.e.Dirs.Emit(c.Event("oom"))
}

// full is told that a container was paused because its disk limit is reached.
func (g *group) full(c *sandbox.Snapshot) {
	if w := g.find(c.ID); w != nil && c.MarkPaused() == nil {
		_ = c.SaveLimits(w.State())
		g.e.Dirs.Emit(c.Event("pause"))
	}
}

// Started implements supervisor.Group.
func (g *group) Started(_ context.Context, c *sandbox.Snapshot) error {
	w := g.find(c.ID)
	if w == nil {
		return nil
	}
	if err := w.Born(c.State.Guest.PID); err != nil {
		return fmt.Errorf("putting limits in force: %w", err)
	}
	return nil
}

// Adopt implements supervisor.Group. What cannot be watched any more is over: the container has ended.
func (g *group) Adopt(ctx context.Context, c *sandbox.Snapshot) {
	if s, ok := carried(c); ok && g.find(c.ID) == nil {
		w := warden.Adopt(g.enter(ctx), g.config(c, s.Limits), s)
		g.add(c.ID, w)
		_ = w.Born(c.State.Guest.PID)
	}
}

// Leave implements supervisor.Group.
func (g *group) Leave(c *sandbox.Snapshot) {
	if w := g.find(c.ID); w != nil {
		w.Leave()
		g.drop(c.ID)
	}
}

// OOMKilled implements supervisor.Group. It emits the event if nobody has.
func (g *group) OOMKilled(c *sandbox.Snapshot) bool {
	if w := g.find(c.ID); w != nil {
		if !w.Warden.OOMKilled() {
			return false
		}
		g.oom(c)
		return true
	}
	s, ok := carried(c)
	if !ok || s.OOM {
		return ok
	}
	if group := s.Carrier(); group != nil {
		n, err := group.OOMKills()
		return err == nil && n > 0
	}
	return false
}

// releaseTimeout is how long the end of a container waits for its cgroup to be empty.
const releaseTimeout = 5 * time.Second

// Release implements supervisor.Group.
func (g *group) Release(ctx context.Context, c *sandbox.Snapshot) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	if w := g.find(c.ID); w != nil {
		g.drop(c.ID)
		return w.Remove(ctx)
	}
	if s, ok := carried(c); ok && s.Carrier() != nil {
		return s.Carrier().Remove(ctx)
	}
	return nil
}

// join says where a command of exec is born.
func (g *group) join(ctx context.Context, c *sandbox.Snapshot) (supervisor.Placement, error) {
	s, ok := carried(c)
	if !ok {
		return supervisor.Placement{CgroupFD: -1}, nil
	}
	w := warden.Adopt(delegate.Place{}, warden.Config{}, s)
	p := placement(s.Plan)
	p.Nice = w.Nice()
	if s.Group == nil {
		return p, nil
	}
	g.enter(ctx) // only a process of the tree may clone into it
	holder, leaf, err := w.Leaves()
	if err != nil {
		return p, err
	}
	p.CgroupFD, p.HolderFD = leaf, holder
	return p, nil
}

// Act implements supervisor.Group. The body of an update is limits.Limits, its answer the plan.
func (g *group) Act(ctx context.Context, c *sandbox.Snapshot, act supervisor.Act, body []byte) ([]byte, error) {
	w, err := g.care(ctx, c)
	if err != nil {
		return nil, err
	}
	var answer []byte
	switch act {
	case supervisor.Pause:
		if err = w.Pause(ctx); err == nil {
			err = c.MarkPaused()
		}
	case supervisor.Unpause:
		if err = w.Unpause(); err == nil {
			err = c.ClearPaused()
		}
	case supervisor.Update:
		answer, err = update(w.Warden, body)
	}
	if err != nil {
		return nil, err
	}
	return answer, c.SaveLimits(w.State())
}

// care takes a running container into this process's care, whoever serves it.
func (g *group) care(ctx context.Context, c *sandbox.Snapshot) (*ward, error) {
	if w := g.find(c.ID); w != nil {
		return w, nil
	}
	s, ok := carried(c)
	place := g.enter(ctx)
	if !ok { // nothing was asked for
		s.Rung = limits.RungNone
		place = delegate.Place{Rung: limits.RungNone}
	}
	w := warden.Adopt(place, g.config(c, s.Limits), s)
	if err := w.Born(c.State.Guest.PID); err != nil {
		return nil, err
	}
	g.add(c.ID, w)
	return g.find(c.ID), nil
}

func update(w *warden.Warden, body []byte) ([]byte, error) {
	var change limits.Limits
	if err := json.Unmarshal(body, &change); err != nil {
		return nil, err
	}
	plan, err := w.Update(change)
	if err != nil {
		return nil, err
	}
	return json.Marshal(plan)
}
