package watchdog

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/procs"
)

// period is the kernel's own default for CPU bandwidth: what a container may save up and what it may be kept waiting for.
const period = 100 * time.Millisecond

const (
	maxHold = 500 * time.Millisecond // in one piece; also how long a pause may have to wait
	maxIdle = 500 * time.Millisecond // between two looks at an idle container
)

// Duty bounds a container's CPU time: it has an account that fills at the rate of the limit and is charged what was used;
// below zero the container is stopped until the debt is paid. Debts are carried on, so the average is exact however coarse
// the single step is.
type Duty struct {
	set    *procs.Set
	limit  atomic.Int64 // limits.CPUs
	mu     sync.Mutex   // held while the container is stopped
	paused bool
}

// NewDuty takes over the set and closes it at the end of Run.
func NewDuty(set *procs.Set, limit limits.CPUs) *Duty {
	d := &Duty{set: set}
	d.SetLimit(limit)
	return d
}

// SetLimit changes the limit of a running duty cycle, 0 takes it away; any goroutine may call it.
func (d *Duty) SetLimit(limit limits.CPUs) { d.limit.Store(int64(limit)) }

// SetPaused keeps the cycle away from a container that the user has paused; when it returns, the cycle holds nothing. It may
// block for half a second.
func (d *Duty) SetPaused(paused bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.paused = paused
}

// Run continues what a predecessor may have left stopped and then bounds until the context is done or the container ends.
func (d *Duty) Run(ctx context.Context) {
	defer d.set.Close()
	d.mu.Lock()
	if !d.paused {
		d.set.ContinueAll()
	}
	d.mu.Unlock()
	account := account{at: time.Now()}
	for {
		used, n := d.used()
		if n == 0 {
			return
		}
		now := time.Now()
		debt := account.charge(limits.CPUs(d.limit.Load()), used, now)
		wait := account.wait()
		if debt > 0 && d.hold(ctx, debt) {
			wait = 0 // part of the debt may be left
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// hold stops the container for a time, unless it is paused; it continues it even when the context ends meanwhile.
func (d *Duty) hold(ctx context.Context, debt time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paused {
		return false
	}
	held := d.set.Stop()
	defer procs.Continue(held)
	sleep(ctx, debt)
	return true
}

// used sums the CPU time of all processes and counts them.
func (d *Duty) used() (time.Duration, int) {
	pids, _ := d.set.Pids()
	var ticks uint64
	for _, pid := range pids {
		st, _ := d.set.Status(pid)
		ticks += st.Ticks
	}
	return time.Duration(ticks) * time.Second / procs.Hertz, len(pids)
}

// account is the container's CPU time in hand.
type account struct {
	at     time.Time
	used   time.Duration
	credit time.Duration
	known  bool // used is a real reading
	idle   int  // readings in a row in which nothing was used
}

// charge books the time since the last call and returns for how long the container has to stop, at most maxHold. A sum
// that went down means that a process took its count with it; it charges nothing.
func (a *account) charge(limit limits.CPUs, used time.Duration, now time.Time) time.Duration {
	rate := float64(limit) / float64(limits.OneCPU)
	passed := now.Sub(a.at)
	if a.known {
		a.credit += time.Duration(rate*float64(passed)) - max(0, used-a.used)
	}
	a.idle++
	if used != a.used {
		a.idle = 0
	}
	a.at, a.used, a.known = now, used, true
	if limit <= 0 {
		a.credit = 0
		return 0
	}
	a.credit = min(a.credit, time.Duration(rate*float64(period)))
	if a.credit >= 0 {
		return 0
	}
	return min(maxHold, time.Duration(float64(-a.credit)/rate))
}

// wait is the time in which the credit could be used up with every CPU at work, within bounds that keep the cost low; what
// is used beyond the credit becomes a debt. An idle container is looked at ever less often.
func (a *account) wait() time.Duration {
	if a.idle > 0 {
		return min(period*time.Duration(a.idle), maxIdle)
	}
	return min(period, max(period/2, a.credit/time.Duration(runtime.NumCPU())))
}
