package watchdog

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/procs"
)

// Kill tells of a process that was killed for memory.
type Kill struct {
	Pid  int   // by the container's own number
	Used int64 // by the whole container at that moment, bytes
}

// Memory watches one container. Create it with NewMemory.
type Memory struct {
	set    *procs.Set
	limit  atomic.Pointer[limits.Watch]
	killed func(Kill)
}

// NewMemory takes over the set and closes it at the end of Run. killed is called in Run's goroutine after each kill: the
// container's state then is OOMKilled, and the event is oom.
func NewMemory(set *procs.Set, limit limits.Watch, killed func(Kill)) *Memory {
	m := &Memory{set: set, killed: killed}
	m.SetLimit(limit)
	return m
}

// SetLimit changes the limit of a running watchdog; any goroutine may call it.
func (m *Memory) SetLimit(limit limits.Watch) { m.limit.Store(&limit) }

// Run watches until the context is done or the container has no processes.
func (m *Memory) Run(ctx context.Context) {
	defer m.set.Close()
	last, pace := int64(0), newPace(time.Now())
	for {
		start := time.Now()
		pids, err := m.set.Pids()
		if err != nil || len(pids) == 0 {
			return
		}
		used, room := m.check(pids)
		wait := pace.next(start, time.Since(start), room, used-last)
		if last = used; !sleep(ctx, wait) {
			return
		}
	}
}

// check measures once, kills as long as too much is used, and returns the use and the room below the limit. The cheap
// measure, which counts shared pages more than once, decides whether the exact one is needed at all.
func (m *Memory) check(pids []int) (used, room int64) {
	limit := *m.limit.Load()
	for _, pid := range pids {
		used += m.set.Resident(pid)
	}
	if limit.Memory == 0 || used <= limit.Memory && limit.Total == 0 {
		return used, limit.Memory - used
	}
	return m.enforce(limit, pids)
}

// victim is a process with its proportional share.
type victim struct {
	pid int
	procs.Memory
}

// enforce kills the largest processes until what remains is below the limit, as the kernel would: container's pid 1 goes
// with the others when it is the largest.
func (m *Memory) enforce(limit limits.Watch, pids []int) (used, room int64) {
	all := make([]victim, 0, len(pids))
	var swapped int64
	for _, pid := range pids {
		v := victim{pid, m.set.Memory(pid)}
		used, swapped = used+v.Proportional, swapped+v.Swap
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b victim) int { return int(b.Proportional + b.Swap - a.Proportional - a.Swap) })
	for _, v := range all {
		if !over(limit, used, swapped) {
			break
		}
		if m.set.Kill(v.pid) == nil {
			m.killed(Kill{Pid: v.pid, Used: used})
		}
		used, swapped = used-v.Proportional, swapped-v.Swap
	}
	return used, limit.Memory - used
}

func over(limit limits.Watch, used, swapped int64) bool {
	return used > limit.Memory || limit.Total > 0 && used+swapped > limit.Total
}

// sleep returns false when the context is done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
