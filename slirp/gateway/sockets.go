package gateway

import (
	"fmt"
	"net/netip"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Sockets are the descriptors through which a switch serves a gateway. -1 is one that the kernel has not (IPv6 off).
// All but the raw ones hold packets or connections while no switch runs.
type Sockets struct {
	Packet int    // SYNs and pings of the containers
	TCP    [2]int // listeners for connections given back, IPv4 and IPv6
	UDP    [2]int // datagrams that leave
	Inject [2]int // raw: what is sent here arrives as if from outside (marked)
	Answer [2]int // raw: answers to containers

	Journal int // memory of the relay's; carried along, not looked into
}

func noSockets() Sockets {
	none := [2]int{-1, -1}
	return Sockets{-1, none, none, none, none, -1}
}

// families in the order of the pairs above.
var families = [2]int{syscall.AF_INET, syscall.AF_INET6}

// open makes what is missing. Must be called in the gateway's namespace.
func (s *Sockets) open() (err error) {
	if s.Packet < 0 {
		if s.Packet, err = packetSocket(); err != nil {
			return err
		}
	}
	for i, f := range families {
		if err := s.openFamily(i, f); err == syscall.EAFNOSUPPORT && f == syscall.AF_INET6 {
			continue // IPv6 is off on this machine
		} else if err != nil {
			return fmt.Errorf("opening the gateway's sockets: %w", err)
		}
	}
	return nil
}

func (s *Sockets) openFamily(i, family int) (err error) {
	if s.TCP[i] < 0 {
		if s.TCP[i], err = transparentListener(family, syscall.SOCK_STREAM, tcpPort); err != nil {
			return err
		}
	}
	if s.UDP[i] < 0 {
		if s.UDP[i], err = transparentListener(family, syscall.SOCK_DGRAM, udpPort); err != nil {
			return err
		}
	}
	if s.Inject[i], err = rawSocket(family); err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(s.Inject[i], syscall.SOL_SOCKET, sys.SOMark, Mark); err != nil {
		return err
	}
	s.Answer[i], err = rawSocket(family)
	return err
}

func packetSocket() (int, error) {
	fd, err := sys.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return -1, fmt.Errorf("opening a packet socket: %w", err)
	}
	if err := sys.AttachFilter(fd, wanted()); err != nil { // before bind: nothing else ever gets in
		syscall.Close(fd)
		return -1, err
	}
	syscall.SetsockoptInt(fd, sys.SolPacket, sys.PacketIgnoreOut, 1)        //nolint:errcheck // Linux 4.20; the reader checks the source anyway
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, sys.SORcvBufForce, 1<<20) //nolint:errcheck // a lost SYN repeats itself
	if err := sys.BindPacket(fd, bridgeIndex); err != nil {
		syscall.Close(fd)
		return -1, fmt.Errorf("binding a packet socket to %s: %w", bridgeName, err)
	}
	return fd, nil
}

func rawSocket(family int) (int, error) {
	return sys.Socket(family, syscall.SOCK_RAW, syscall.IPPROTO_RAW)
}

// transparentListener is bound to loopback, never to the wildcard: else a container reaches it at the gateway's address,
// and a client whose own port is this one cannot be bound.
func transparentListener(family, kind, port int) (int, error) {
	fd, err := sys.Socket(family, kind, 0)
	if err != nil {
		return -1, err
	}
	err = setTransparent(fd, family)
	if kind == syscall.SOCK_STREAM {
		err = first(err, syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1))
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) //nolint:errcheck // accepted sockets inherit it; it only costs time
	} else {
		err = first(err, recvOriginal(fd, family))
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, sys.SORcvBufForce, 4<<20) //nolint:errcheck // the default is small but works
	}
	addr := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if family == syscall.AF_INET6 {
		addr = netip.IPv6Loopback()
	}
	err = first(err, sys.Bind(fd, netip.AddrPortFrom(addr, uint16(port))))
	if kind == syscall.SOCK_STREAM {
		err = first(err, syscall.Listen(fd, 4096))
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func recvOriginal(fd, family int) error {
	if family == syscall.AF_INET6 {
		return syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, sys.IP6RecvOrigDst, 1)
	}
	return syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, sys.IPRecvOrigDst, 1)
}

func setTransparent(fd, family int) error {
	if family == syscall.AF_INET6 {
		return syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, sys.IP6Transparent, 1)
	}
	return syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, sys.IPTransparent, 1)
}

// BindForeign binds a socket of the gateway's namespace to an address that is not the gateway's own (IP_TRANSPARENT).
func BindForeign(fd int, a netip.AddrPort) error {
	family := sys.Family(a.Addr())
	return first(setTransparent(fd, family), syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1), sys.Bind(fd, a))
}
