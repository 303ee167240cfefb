package warden

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/cgroup1"
	"github.com/moss-sandbox/moss/limits/procs"
	"github.com/moss-sandbox/moss/limits/watchdog"
)

// Born starts what the plan leaves to the supervisor. hostPid is the container's first process. A container that has ended
// meanwhile is no error.
func (w *Warden) Born(hostPid int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pid = hostPid
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	err := w.watch(ctx)
	if plan := w.state.Plan; err == nil && plan.Autogroup && plan.Nice > 0 {
		_ = procs.SetAutogroup(hostPid, ownNice()+plan.Nice) // a refusal leaves the plain nice value, which is what Weak promises
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// watch starts what the plan asks for and what does not run yet. Must be called with the lock held.
func (w *Warden) watch(ctx context.Context) error {
	plan := w.state.Plan
	if plan.Watch.Memory > 0 && w.memory == nil {
		set, err := w.open()
		if err != nil {
			return err
		}
		w.memory = watchdog.NewMemory(set, plan.Watch, w.killed)
		w.ended.Go(func() { w.memory.Run(ctx) })
	}
	if plan.Duty > 0 && w.duty == nil {
		set, err := w.open()
		if err != nil {
			return err
		}
		w.duty = watchdog.NewDuty(set, plan.Duty)
		w.duty.SetPaused(w.state.Paused)
		w.ended.Go(func() { w.duty.Run(ctx) })
	}
	if upper := plan.Upper; upper.Size > 0 && !upper.Tmpfs && w.disk == nil {
		w.disk = watchdog.NewDisk(w.config.Upper, int64(upper.Size), func(used int64) { w.full(ctx, used) })
		w.ended.Go(func() { w.disk.Run(ctx) })
	}
	return nil
}

// full pauses a container that has written too much. The user can give it more, or let it go on to clean up: it is paused
// again only when it has grown still more.
func (w *Warden) full(ctx context.Context, used int64) {
	if w.Pause(ctx) == nil && w.config.Full != nil {
		w.config.Full(used)
	}
}

func (w *Warden) open() (*procs.Set, error) {
	if w.config.Shared {
		return procs.OpenTree(w.pid)
	}
	return procs.Open(w.pid)
}

func (w *Warden) killed(watchdog.Kill) {
	if !w.oom.Swap(true) && w.config.OOM != nil {
		w.config.OOM()
	}
}

// Update changes the limits of a running container. The plan it returns says in Late whether something waits for the next
// start, and in Weak what is weaker than docker's. After an error the old limits are in force.
func (w *Warden) Update(change limits.Limits) (limits.Plan, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, err := w.state.Limits.Updated(change)
	if err != nil {
		return limits.Plan{}, err
	}
	fresh, err := w.decide(l)
	if err != nil {
		return limits.Plan{}, err
	}
	plan := fresh.Keeping(w.state.Plan)
	if err := w.apply(plan); err != nil {
		return limits.Plan{}, err
	}
	w.state.Limits, w.state.Plan = l, plan
	return plan, nil
}

// apply puts a plan into force. Must be called with the lock held.
func (w *Warden) apply(plan limits.Plan) error {
	if group := w.state.Carrier(); group != nil {
		if err := group.Update(plan.Values); err != nil {
			return errors.Join(fmt.Errorf("changing limits: %w", err), group.Update(w.state.Plan.Values))
		}
	}
	if w.pid == 0 {
		return nil
	}
	if len(plan.Affinity) > 0 {
		if err := procs.SetAffinity(w.pid, plan.Affinity); err != nil {
			return err
		}
	}
	if plan.Nice > w.state.Plan.Nice {
		if err := procs.SetNice(w.pid, ownNice()+plan.Nice); err != nil {
			return err
		}
	}
	for _, r := range plan.Rlimits {
		if r.Resource == limits.RlimitData { // the fuse follows the memory limit
			if err := procs.SetRlimit(w.pid, r.Resource, r.Soft); err != nil {
				return err
			}
		}
	}
	return w.rewatch(plan)
}

// ownNice is the nice value of this process, which containers start from. The raw call returns 20 minus it (getpriority(2)).
func ownNice() int {
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return 20 - raw
}

// rewatch changes running watchdogs and starts missing ones.
func (w *Warden) rewatch(plan limits.Plan) error {
	if w.memory != nil {
		w.memory.SetLimit(plan.Watch)
	}
	if w.duty != nil {
		w.duty.SetLimit(plan.Duty)
	}
	if w.disk != nil {
		w.disk.SetLimit(int64(plan.Upper.Size))
	}
	old := w.state.Plan
	w.state.Plan = plan
	ctx, cancel := context.WithCancel(context.Background())
	stop := w.stop
	w.stop = func() { stop(); cancel() }
	err := w.watch(ctx)
	w.state.Plan = old
	return err
}

// Pause stops every process of the container and returns when the kernel has frozen them. Without a cgroup they get SIGSTOP,
// parents first, which a program inside could notice.
func (w *Warden) Pause(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if group := w.state.Carrier(); group != nil {
		err := group.Freeze(ctx)
		if err == nil {
			w.state.Paused = true
		}
		if !errors.Is(err, cgroup1.ErrNoFreezer) {
			return err
		}
	}
	if w.duty != nil {
		w.duty.SetPaused(true)
	}
	set, err := w.open()
	if err != nil {
		return err
	}
	defer set.Close()
	w.held = set.Stop()
	w.state.Paused = true
	return nil
}

// Unpause lets the container go on.
func (w *Warden) Unpause() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if group := w.state.Carrier(); group != nil {
		err := group.Thaw()
		if err == nil {
			w.state.Paused = false
		}
		if !errors.Is(err, cgroup1.ErrNoFreezer) {
			return err
		}
	}
	if err := w.resume(); err != nil {
		return err
	}
	if w.duty != nil {
		w.duty.SetPaused(false)
	}
	w.state.Paused = false
	return nil
}

// resume continues what Pause has stopped; a successor does not know and continues all.
func (w *Warden) resume() error {
	if w.held != nil {
		procs.Continue(w.held)
		w.held = nil
		return nil
	}
	set, err := w.open()
	if err != nil {
		return err
	}
	defer set.Close()
	set.ContinueAll()
	return nil
}
