package reactor

import (
	"container/heap"
	"time"
)

// Timer is a function due at some time in its loop.
type Timer struct {
	due   time.Time
	run   func()
	index int
}

// After makes the loop call f once, d from now, unless stopped.
func (l *Loop) After(d time.Duration, f func()) *Timer {
	t := &Timer{due: time.Now().Add(d), run: f}
	heap.Push(&l.timers, t)
	return t
}

// Stop forgets a timer; one that has fired or is nil is left alone.
func (l *Loop) Stop(t *Timer) {
	if t != nil && t.index >= 0 {
		heap.Remove(&l.timers, t.index)
	}
}

type timerHeap []*Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}

// wait returns epoll_wait's timeout in milliseconds: for ever when no timer runs, so that an idle loop costs no time.
func (h timerHeap) wait(now time.Time) int {
	if len(h) == 0 {
		return -1
	}
	return int(max(0, (h[0].due.Sub(now) + time.Millisecond - 1).Milliseconds()))
}

func (h *timerHeap) fire(now time.Time) {
	for len(*h) > 0 && !(*h)[0].due.After(now) {
		heap.Pop(h).(*Timer).run()
	}
}
