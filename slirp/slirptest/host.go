package slirptest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// The addresses of the test's world.
const (
	HostAddr    = "198.51.100.1"
	HostAddr6   = "2001:db8:1::1"
	WorldAddr   = "198.51.100.2"
	WorldAddr6  = "2001:db8:1::2"
	Unreachable = "203.0.113.1" // the host has an unreachable route for it
	Silent      = "203.0.114.1" // packets to it get lost in the world
	Metadata    = "169.254.169.254"
)

// host is the stage that makes the world and has the tests run beside it.
func host() int {
	world, err := build()
	if err != nil {
		return missing("%v", err)
	}
	ours, theirs, err := pair()
	if err != nil {
		return missing("%v", err)
	}
	go world.control(ours)
	return again("user", syscall.CLONE_NEWUSER, os.Args[1:], theirs)
}

// build makes the host's links and routes and starts the world's servers.
func build() (*world, error) {
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("reno"), 0); err != nil { // figures are comparable, whatever the machine's default
		return nil, err
	}
	for _, c := range []string{"link set lo up", "link add h0 type veth peer name w0", "addr add 198.51.100.1/24 dev h0", "link set h0 up"} {
		if err := ip(c); err != nil {
			return nil, err
		}
	}
	w := &world{ready: make(chan error), calls: make(chan func())}
	pid := make(chan int)
	go w.live(pid)
	if err := ip(fmt.Sprintf("link set w0 netns %d", <-pid)); err != nil {
		return nil, err
	}
	w.ready <- nil
	if err := <-w.ready; err != nil {
		return nil, err
	}
	for _, c := range []string{"-6 addr add 2001:db8:1::1/64 dev h0 nodad", "route add default via 198.51.100.2", "-6 route add default via 2001:db8:1::2",
		"route add unreachable 203.0.113.0/24", "route add 169.254.0.0/16 via 198.51.100.2"} {
		if err := ip(c); err != nil {
			return nil, err
		}
	}
	if os.Getenv("MOSS_TEST_PING") == "closed" {
		return w, nil // as in every new namespace
	}
	return w, os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0)
}

// live is the world's thread.
func (w *world) live(pid chan<- int) {
	runtime.LockOSThread()
	err := sys.Unshare(sys.NewNet)
	if err == nil {
		err = os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("reno"), 0)
	}
	pid <- syscall.Gettid()
	<-w.ready
	for _, c := range []string{"link set lo up", "link set w0 up", "addr add 198.51.100.2/24 dev w0", "addr add 169.254.169.254/32 dev lo",
		"-6 addr add 2001:db8:1::2/64 dev w0 nodad"} {
		if err == nil {
			err = ip(c)
		}
	}
	if err == nil {
		err = w.serve()
	}
	w.ready <- err
	for f := range w.calls {
		f()
	}
}

func ip(args string) error {
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}

func pair() (a, b *os.File, err error) {
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(p[0]), "control"), os.NewFile(uintptr(p[1]), "control"), nil
}
