package watchdog

import "time"

const (
	// growth is how fast a container is believed to be able to take memory, bytes a second: what one CPU can clear.
	growth = 4 << 30
	// thrift bounds the cost: in the long run a watchdog uses 1/thrift of a CPU (0.2 %).
	thrift = 500
	// burst is the CPU time that may be saved up for a container that grows: fifty looks.
	burst = 10 * time.Millisecond
	// wake is what a timer costs besides the look itself, on a virtual machine.
	wake = 100 * time.Microsecond
	// change is how many bytes more or less make a container one that is not calm.
	change = 256 << 10
)

// Bounds of the time between two looks.
const (
	minWait  = 10 * time.Millisecond
	calmWait = 200 * time.Millisecond // at least, while nothing changes
	maxWait  = time.Second
)

// pace decides when to look again: often while memory changes and little room is left, paid from what was saved in calm
// times. A container is watched most closely when it starts, because that is when a program takes its memory.
type pace struct {
	at    time.Time
	saved time.Duration // CPU time in hand
}

func newPace(now time.Time) *pace { return &pace{at: now, saved: burst} }

// next is the time to wait after a look at the moment now that took cost, found room bytes left, and saw the use change by
// grown bytes.
func (p *pace) next(now time.Time, cost time.Duration, room, grown int64) time.Duration {
	p.saved = min(burst, p.saved+now.Sub(p.at)/thrift) - cost - wake
	p.at = now
	wait := time.Duration(float64(max(room, 0)) / growth * float64(time.Second))
	if grown < change && grown > -change {
		wait = max(wait, calmWait)
	}
	if p.saved < 0 {
		wait = max(wait, -p.saved*thrift)
	}
	return min(maxWait, max(minWait, wait))
}
