package reactor

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

func running(t *testing.T) *Loop {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Run() }()
	t.Cleanup(func() {
		l.Close()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("Run ends with %v", err)
		}
	})
	return l
}

func TestTimersFireInOrderAndOnce(t *testing.T) {
	l := running(t)
	fired := make(chan int, 9)
	l.Call(func() {
		l.After(30*time.Millisecond, func() { fired <- 3 })
		l.After(10*time.Millisecond, func() { fired <- 1 })
		stopped := l.After(15*time.Millisecond, func() { fired <- 9 })
		l.After(20*time.Millisecond, func() { fired <- 2; l.Stop(nil) })
		l.Stop(stopped)
		l.Stop(stopped)
	})
	for want := 1; want <= 3; want++ {
		if got := <-fired; got != want {
			t.Errorf("timer %d fires, want %d", got, want)
		}
	}
}

func TestClosedLoopRefuses(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	ran := false
	l.Close()
	l.Post(func() { ran = true })
	if err := l.Run(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := l.Call(func() {}); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed loop takes calls: %v", err)
	}
	if !ran {
		t.Error("what was posted before the end has not run")
	}
}

// TestLateEventIsNotTheNewOwners closes a descriptor with an event under way and opens another of the same number.
func TestLateEventIsNotTheNewOwners(t *testing.T) {
	l := running(t)
	var r, w [2]int
	for i := range r {
		var p [2]int
		if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
			t.Fatal(err)
		}
		r[i], w[i] = p[0], p[1]
	}
	wrong := false
	l.Call(func() {
		// Both are ready when the loop looks. The handler of one replaces the other's descriptor by a quiet one.
		quiet := -1
		for i := range r {
			other := r[1-i]
			l.Add(r[i], sys.EpollIn, Func(func(uint32) {
				if quiet >= 0 {
					return
				}
				l.RemoveAndClose(other)
				var p [2]int
				syscall.Pipe2(p[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK)
				quiet = p[0]
				t.Cleanup(func() { syscall.Close(p[0]); syscall.Close(p[1]) })
				l.Add(p[0], sys.EpollIn, Func(func(uint32) { wrong = true }))
			}))
			sys.Write(w[i], []byte{1})
		}
	})
	time.Sleep(30 * time.Millisecond)
	l.Call(func() {
		if wrong {
			t.Error("an event of a closed descriptor reached its number's next owner")
		}
	})
	for i := range r {
		syscall.Close(w[i])
	}
}
