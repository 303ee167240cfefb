package publish

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// accept takes the waiting clients.
func (p *Port) accept() {
	for !p.closed {
		fd, client, err := sys.Accept(p.at.FD)
		if err == syscall.EAGAIN || err == syscall.EBADF || err == syscall.EINVAL {
			return
		}
		if err == syscall.EMFILE || err == syscall.ENFILE {
			p.loop.After(10*time.Millisecond, p.accept)
			return
		}
		if err == nil {
			p.begin(fd, client)
		}
	}
}

func (p *Port) begin(fd int, client netip.AddrPort) {
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) //nolint:errcheck // it only costs time
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1) //nolint:errcheck // likewise
	to, as := p.destination(client)
	a := &arrival{port: p, client: fd, inner: -1}
	inner, err := dial(to, as)
	if err != nil && as.IsValid() { // address and port are taken inside: the gateway's address, never a failure
		inner, err = dial(to, netip.AddrPort{})
	}
	if err == nil {
		a.inner = inner
		err = p.loop.Add(inner, reactor.Connection, a)
	}
	if err != nil {
		a.fail()
	}
}

// dial begins to connect inside the gateway's namespace.
func dial(to, as netip.AddrPort) (int, error) {
	fd, err := sys.Socket(sys.Family(to.Addr()), syscall.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) //nolint:errcheck // it only costs time
	if as.IsValid() {
		err = gateway.BindForeign(fd, as)
	}
	if err == nil {
		if err = sys.Connect(fd, to); err == syscall.EINPROGRESS {
			err = nil
		}
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// arrival is a client whose container has not answered yet.
type arrival struct {
	port          *Port
	client, inner int
}

// Ready is told that the container has answered.
func (a *arrival) Ready(events uint32) {
	switch done, err := reactor.Connected(a.inner, events); {
	case !done:
	case err != nil:
		a.fail()
	default:
		a.port.pumps.Join(a.port.loop, a.client, a.inner)
	}
}

// fail resets the client: it was accepted before the container could be asked.
func (a *arrival) fail() {
	sys.ResetOnClose(a.client)
	syscall.Close(a.client)
	if a.inner >= 0 {
		a.port.loop.CloseOnly(a.inner)
	}
}
