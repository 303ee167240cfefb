package gateway

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// enter starts an event loop whose thread is in the network namespace behind nsfd, or in a new one when nsfd is -1, and
// returns with a descriptor of that namespace. The thread can never go back to the host's namespace, which belongs to
// another user namespace: it ends with the loop.
func enter(nsfd int) (*reactor.Loop, int, error) {
	l, err := reactor.New()
	if err != nil {
		return nil, -1, err
	}
	entered := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		var err error
		if nsfd, err = moveThread(nsfd); err != nil {
			l.Close()
		}
		entered <- err
		l.Run() //nolint:errcheck // it ends by Close
	}()
	return l, nsfd, <-entered
}

func moveThread(nsfd int) (int, error) {
	if nsfd >= 0 {
		if err := sys.Setns(nsfd, sys.NewNet); err != nil {
			return nsfd, fmt.Errorf("entering the gateway's network namespace: %w", err)
		}
		return nsfd, nil
	}
	if err := sys.Unshare(sys.NewNet); err != nil {
		return nsfd, fmt.Errorf("making a network namespace: %w", err)
	}
	return syscall.Open("/proc/thread-self/ns/net", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
}

// Within runs f in a thread of the network namespace behind nsfd and ends the thread. Sockets that f opens stay in that
// namespace, whoever uses them.
func Within(nsfd int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := sys.Setns(nsfd, sys.NewNet); err != nil {
			done <- fmt.Errorf("entering a container's network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// sysctl writes a value below /proc/sys/net of the calling thread's network namespace.
func sysctl(name, value string) error {
	return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
}
