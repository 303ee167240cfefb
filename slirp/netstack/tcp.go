package netstack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	maxWaiting = 4096
	waitLimit  = 3 * time.Minute // longer than the kernel tries to connect
)

// flights brings together the two halves of a connection: gVisor's request, and the socket that the relay has dialled.
// Either may come first.
type flights struct {
	mu sync.Mutex
	m  map[flow]*flight
}

type flow struct{ src, dst netip.AddrPort }

type flight struct{ dialled chan int }

// get returns the flight of a connection, made by whoever comes first.
func (f *flights) get(k flow) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.m == nil {
		f.m = map[flow]*flight{}
	}
	if f.m[k] == nil {
		f.m[k] = &flight{dialled: make(chan int, 1)}
	}
	return f.m[k]
}

func (f *flights) forget(k flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.m, k)
}

// deliver takes a connection from the relay, in its loop.
func (n *Netstack) deliver(src, dst netip.AddrPort, fd int) {
	k := flow{src, dst}
	f := n.flight.get(k)
	select {
	case f.dialled <- fd:
	default: // one is there already
		closeSocket(fd)
		return
	}
	time.AfterFunc(10*time.Second, func() { // the container has lost interest
		select {
		case fd := <-f.dialled:
			n.flight.forget(k)
			closeSocket(fd)
		default:
		}
	})
}

func closeSocket(fd int) {
	if fd >= 0 {
		syscall.Close(fd)
	}
}

// connection is gVisor's wish to accept; it runs in a goroutine of its own.
func (n *Netstack) connection(r *tcp.ForwarderRequest) {
	id := r.ID()
	k := flow{addrPort(id.RemoteAddress, id.RemotePort), addrPort(id.LocalAddress, id.LocalPort)}
	f := n.flight.get(k)
	var fd int
	select {
	case fd = <-f.dialled:
	case <-time.After(waitLimit):
		fd = -1
	}
	n.flight.forget(k)
	if fd < 0 { // the relay has told the container
		r.Complete(false)
		return
	}
	outer, err := connOf(fd)
	if err != nil {
		r.Complete(true)
		return
	}
	var wq waiter.Queue
	ep, e := r.CreateEndpoint(&wq)
	r.Complete(false)
	if e != nil {
		outer.Close()
		return
	}
	ep.SocketOptions().SetKeepAlive(true)
	ep.SocketOptions().SetDelayOption(false)
	join(&inner{TCPConn: gonet.NewTCPConn(&wq, ep), abort: ep.Abort}, outer)
}

func connOf(fd int) (*net.TCPConn, error) {
	f := os.NewFile(uintptr(fd), "outer")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.New("internal error: no TCP socket")
	}
	return t, nil
}

// inner is the container's side.
type inner struct {
	*gonet.TCPConn
	abort func()
}

// join moves bytes both ways; a reset of one side becomes one of the other.
func join(in *inner, out *net.TCPConn) {
	defer in.Close()
	defer out.Close()
	reset := func(err error) bool {
		if err == nil {
			return false
		}
		out.SetLinger(0) //nolint:errcheck // then the far side sees an end of file
		out.Close()
		in.abort()
		return true
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if !reset(carry(out, in)) {
			out.CloseWrite() //nolint:errcheck // the far side has gone
		}
	}()
	if !reset(carry(in, out)) {
		in.CloseWrite() //nolint:errcheck // the container has gone
	}
	<-done
}

func carry(dst io.Writer, src io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, 256<<10))
	return err
}
