package dns

import (
	"fmt"
	"net/netip"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/pump"
	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

const port = 53

// View is what a container may know. It is asked in the server's loop and must not wait.
type View interface {
	// Lookup returns the addresses of a name of the container's networks; ok is false for names of the world.
	Lookup(name string) (list []netip.Addr, ok bool)
	// Reverse returns the name of an address of the container's networks.
	Reverse(a netip.Addr) (name string, ok bool)
	// Servers returns the resolvers to ask now, best first.
	Servers() []netip.Addr
}

// Sockets are a container's listening sockets.
type Sockets struct{ UDP, TCP int }

// Listen opens the sockets at 127.0.0.11:53. Must be called in a thread of the container's network namespace, with its
// loopback up.
func Listen() (s Sockets, err error) {
	at := netip.AddrPortFrom(netip.MustParseAddr(slirp.DNSAddress), port)
	s = Sockets{-1, -1}
	if s.UDP, err = bound(syscall.SOCK_DGRAM, at); err == nil {
		s.TCP, err = bound(syscall.SOCK_STREAM, at)
	}
	if err == nil {
		err = syscall.Listen(s.TCP, 64)
	}
	if err != nil {
		s.Close()
		return s, fmt.Errorf("opening the resolver's sockets at %s: %w", at, err)
	}
	return s, nil
}

func bound(kind int, at netip.AddrPort) (int, error) {
	fd, err := sys.Socket(syscall.AF_INET, kind, 0)
	if err != nil {
		return -1, err
	}
	if kind == syscall.SOCK_STREAM {
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) //nolint:errcheck // bind tells
	}
	if err := sys.Bind(fd, at); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Close closes the sockets.
func (s Sockets) Close() {
	for _, fd := range []int{s.UDP, s.TCP} {
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
}

// Server answers one container.
type Server struct {
	loop    *reactor.Loop
	pumps   *pump.Env
	sockets Sockets
	view    View
	flying  map[*forward]bool
	streams map[*stream]bool
	stopped bool
}

// Serve begins to answer. Must be called in the loop. The server owns the sockets from now on.
func Serve(l *reactor.Loop, pumps *pump.Env, s Sockets, v View) (*Server, error) {
	d := &Server{loop: l, pumps: pumps, sockets: s, view: v, flying: map[*forward]bool{}, streams: map[*stream]bool{}}
	if err := l.Add(s.UDP, sys.EpollIn, reactor.Func(func(uint32) { d.datagrams() })); err != nil {
		return nil, err
	}
	if err := l.Add(s.TCP, sys.EpollIn, reactor.Func(func(uint32) { d.accept() })); err != nil {
		l.Remove(s.UDP)
		return nil, err
	}
	return d, nil
}

// Stop ends the service and closes the sockets, which else keep a dead container's namespace. Must be called in the loop.
func (d *Server) Stop() {
	if d.stopped {
		return
	}
	d.stopped = true
	d.loop.Remove(d.sockets.UDP)
	d.loop.Remove(d.sockets.TCP)
	d.sockets.Close()
	for f := range d.flying {
		f.end()
	}
	for s := range d.streams {
		s.end()
	}
}

// local answers a query from the view; nil when the world is to be asked.
func (d *Server) local(m []byte) []byte {
	q, ok := parseQuestion(m)
	if !ok || q.class != classIN {
		return nil
	}
	if a, ok := reverseAddr(q.name); ok && q.kind == typePTR {
		if name, ok := d.view.Reverse(a); ok {
			return pointer(m, q, name)
		}
		return nil
	}
	if list, ok := d.view.Lookup(q.name); ok {
		return addresses(m, q, list)
	}
	return nil
}

// failure answers that no resolver could be asked; nil for what is not a query.
func failure(m []byte) []byte {
	q, ok := parseQuestion(m)
	if !ok {
		return nil
	}
	return reply(m, q, codeServfail)
}
