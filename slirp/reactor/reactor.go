package reactor

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Handler is told that a descriptor is ready. Events are hints (edge triggered): the handler reads or writes until EAGAIN.
type Handler interface {
	Ready(events uint32)
}

// Func is a handler made of a function.
type Func func(events uint32)

// Ready calls f.
func (f Func) Ready(events uint32) { f(events) }

// Loop is one epoll set with the functions and timers that run beside it. The zero value is not usable.
type Loop struct {
	epoll, wake int
	files       map[int32]registered
	generation  int32
	timers      timerHeap
	scratch     []byte

	mu     sync.Mutex
	posted []func()
	closed bool
}

type registered struct {
	generation int32 // tells an event of this descriptor from a late one of its number's former owner
	handler    Handler
}

// ErrClosed is what Run returns after Close.
var ErrClosed = errors.New("event loop closed")

// New returns a loop that does not run yet.
func New() (*Loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making an epoll set: %w", err)
	}
	wake, err := sys.Eventfd()
	if err != nil {
		syscall.Close(epoll)
		return nil, fmt.Errorf("making an event counter: %w", err)
	}
	l := &Loop{epoll: epoll, wake: wake, files: map[int32]registered{}}
	return l, l.Add(wake, sys.EpollIn, Func(l.runPosted))
}

// Add watches fd for events (always edge triggered). The loop does not own fd: Remove it before closing it.
func (l *Loop) Add(fd int, events uint32, h Handler) error {
	l.generation++
	ev := syscall.EpollEvent{Events: events | sys.EpollET, Fd: int32(fd), Pad: l.generation}
	if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("watching descriptor %d: %w", fd, err)
	}
	l.files[int32(fd)] = registered{l.generation, h}
	return nil
}

// HandOver gives fd, if it is watched here, to another handler without asking the kernel, and tells whether it was. What
// it was added for stays. Edges that the former handler has seen do not come again.
func (l *Loop) HandOver(fd int, h Handler) bool {
	r, ok := l.files[int32(fd)]
	if ok {
		l.files[int32(fd)] = registered{r.generation, h}
	}
	return ok
}

// Connection is what Add is given for a connected or connecting stream socket.
const Connection = sys.EpollIn | sys.EpollOut | sys.EpollRdHup

// Connected reads from the events of a connecting socket how that ended: done is false while it has not.
func Connected(fd int, events uint32) (done bool, err error) {
	if events&(sys.EpollErr|sys.EpollHup) != 0 {
		if err := sys.SocketError(fd); err != nil {
			return true, err
		}
	}
	return events&sys.EpollOut != 0, nil
}

// Remove stops watching fd; no event of it is delivered any more.
func (l *Loop) Remove(fd int) {
	if _, ok := l.files[int32(fd)]; ok {
		delete(l.files, int32(fd))
		syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_DEL, fd, nil) //nolint:errcheck // a closed descriptor has left the set already
	}
}

// CloseOnly stops watching fd and closes it. There must be no duplicate of it, in no process: the kernel's set forgets a file
// with its last descriptor. RemoveAndClose is for those that holders keep.
func (l *Loop) CloseOnly(fd int) {
	delete(l.files, int32(fd))
	syscall.Close(fd)
}

// RemoveAndClose stops watching fd and closes it.
func (l *Loop) RemoveAndClose(fd int) {
	l.Remove(fd)
	syscall.Close(fd)
}

// Post makes the loop call f soon, in order of posting. It may be called from any goroutine. ErrClosed when the loop has
// ended: f is not called then.
func (l *Loop) Post(f func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	l.posted = append(l.posted, f)
	if len(l.posted) == 1 {
		l.ring()
	}
	return nil
}

// Call is Post that waits until f has run. It must not be called from the loop itself. ErrClosed when the loop has ended.
func (l *Loop) Call(f func()) error {
	done := make(chan struct{})
	if err := l.Post(func() { defer close(done); f() }); err != nil {
		return err
	}
	<-done
	return nil
}

// Close makes Run return; descriptors of handlers stay open.
func (l *Loop) Close() {
	l.Post(func() { //nolint:errcheck // closed already
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
	})
}

// Scratch is a buffer that handlers of this loop may use until they return.
func (l *Loop) Scratch() []byte {
	if l.scratch == nil {
		l.scratch = make([]byte, 64<<10)
	}
	return l.scratch
}

// Run delivers events until Close. The loop's own descriptors are closed when it returns.
func (l *Loop) Run() error {
	events := make([]syscall.EpollEvent, 128)
	defer syscall.Close(l.epoll)
	defer syscall.Close(l.wake)
	for !l.isClosed() {
		n, err := sys.EpollNow(l.epoll, events)
		if n == 0 {
			n, err = syscall.EpollWait(l.epoll, events, l.timers.wait(time.Now()))
		}
		if err != nil && err != syscall.EINTR {
			return fmt.Errorf("waiting for events: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			if r, ok := l.files[ev.Fd]; ok && r.generation == ev.Pad {
				r.handler.Ready(ev.Events)
			}
		}
		l.timers.fire(time.Now())
	}
	l.runPosted(0) // what came before Close: somebody may wait for it
	return ErrClosed
}

func (l *Loop) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *Loop) ring() {
	sys.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) //nolint:errcheck // full means rung already
}

func (l *Loop) runPosted(uint32) {
	var count [8]byte
	sys.Read(l.wake, count[:]) //nolint:errcheck // only the edge matters
	l.mu.Lock()
	list := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, f := range list {
		f()
	}
}
