package publish

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Listener is a host socket that waits for a container's clients. Whoever has it closes FD.
type Listener struct {
	slirp.Published
	FD int
}

// Open binds the addresses of one published port, IPv4 and IPv6 with the same number where the spec names no address. An
// error is a *slirp.PortError. Must be called in a thread of the host's network namespace.
func Open(spec slirp.PortSpec) ([]Listener, error) {
	if spec.HostFirst == 0 {
		return openAny(spec)
	}
	var last error
	for n := int(spec.HostFirst); n <= max(int(spec.HostLast), int(spec.HostFirst)); n++ {
		l, err := openPort(spec, uint16(n))
		if err == nil {
			return l, nil
		}
		last = err
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, last
}

// openAny lets the kernel choose a number that is free in both families.
func openAny(spec slirp.PortSpec) (l []Listener, err error) {
	for range 16 {
		l, err = openPort(spec, 0)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
	return nil, err
}

func openPort(spec slirp.PortSpec, number uint16) ([]Listener, error) {
	addrs := []netip.Addr{spec.HostIP}
	if !spec.HostIP.IsValid() {
		addrs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	var l []Listener
	for _, a := range addrs {
		fd, err := listen(a, number, spec.Port.Proto)
		if err != nil && len(l) > 0 && noIPv6(err) {
			break
		}
		if err != nil {
			Close(l)
			return nil, portError(netip.AddrPortFrom(a, number), spec.Port.Proto, err)
		}
		at, err := sys.Sockname(fd)
		if err != nil {
			Close(l)
			return nil, portError(netip.AddrPortFrom(a, number), spec.Port.Proto, err)
		}
		number = at.Port()
		l = append(l, Listener{slirp.Published{Port: spec.Port, Host: netip.AddrPortFrom(a, number)}, fd})
	}
	return l, nil
}

// noIPv6 tells that the host has no IPv6, which is no error where no address was named.
func noIPv6(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// Close closes listeners.
func Close(l []Listener) {
	for _, x := range l {
		syscall.Close(x.FD)
	}
}

func portError(at netip.AddrPort, proto slirp.Proto, err error) error {
	e := &slirp.PortError{Host: at, Proto: proto}
	if !errors.As(err, &e.Errno) {
		return err
	}
	if e.Errno == syscall.EADDRINUSE {
		e.Free = freeNear(at, proto)
	}
	return e
}

// freeNear looks for a free port above a taken one.
func freeNear(at netip.AddrPort, proto slirp.Proto) uint16 {
	for n := int(at.Port()) + 1; n < 65536 && n <= int(at.Port())+64; n++ {
		if fd, err := listen(at.Addr(), uint16(n), proto); err == nil {
			syscall.Close(fd)
			return uint16(n)
		}
	}
	return 0
}

func listen(a netip.Addr, number uint16, proto slirp.Proto) (int, error) {
	kind := syscall.SOCK_STREAM
	if proto == slirp.UDP {
		kind = syscall.SOCK_DGRAM
	}
	fd, err := sys.Socket(sys.Family(a), kind, 0)
	if err != nil {
		return -1, err
	}
	if a.Is6() {
		err = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 1)
	}
	if kind == syscall.SOCK_STREAM {
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) //nolint:errcheck // only TIME_WAIT of a former one stands in the way then
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1) //nolint:errcheck // accepted sockets inherit both
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) //nolint:errcheck // it only costs time
	} else {
		wantLocal(fd, a)
	}
	if err == nil {
		err = sys.Bind(fd, netip.AddrPortFrom(a, number))
	}
	if err == nil && kind == syscall.SOCK_STREAM {
		err = syscall.Listen(fd, 4096)
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// wantLocal makes each datagram tell which of the host's addresses it was sent to: the answer must come from there.
func wantLocal(fd int, a netip.Addr) {
	if a.Is6() {
		syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, sys.IP6RecvPktInfo, 1) //nolint:errcheck // the kernel chooses then
	} else {
		syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, sys.IPPktInfo, 1) //nolint:errcheck // likewise
	}
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2<<20) //nolint:errcheck // net.core.rmem_max bounds it
}
