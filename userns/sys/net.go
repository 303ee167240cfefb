package sys

import (
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket options the switch needs beyond package syscall's, by their names in ip(7), ipv6(7), udp(7) and packet(7).
const (
	IPTransparent          = unix.IP_TRANSPARENT
	IP6Transparent         = unix.IPV6_TRANSPARENT
	IPRecvOrigDst          = unix.IP_RECVORIGDSTADDR
	IP6RecvOrigDst         = unix.IPV6_RECVORIGDSTADDR
	IPRecvErr              = unix.IP_RECVERR
	IP6RecvErr             = unix.IPV6_RECVERR
	IPPktInfo              = unix.IP_PKTINFO
	IP6RecvPktInfo         = unix.IPV6_RECVPKTINFO
	IP6PktInfo             = unix.IPV6_PKTINFO
	IPMTUDiscover          = unix.IP_MTU_DISCOVER
	IP6MTUDiscover         = unix.IPV6_MTU_DISCOVER
	PMTUDiscDo             = unix.IP_PMTUDISC_DO
	PMTUDiscWant           = unix.IP_PMTUDISC_WANT
	SOMark                 = unix.SO_MARK
	SORcvBufForce          = unix.SO_RCVBUFFORCE
	SOPeerPidfd            = unix.SO_PEERPIDFD
	PacketIgnoreOut        = unix.PACKET_IGNORE_OUTGOING
	PacketVnetHdr          = unix.PACKET_VNET_HDR
	SolPacket              = unix.SOL_PACKET
	IPOrigDst              = unix.IP_ORIGDSTADDR
	IP6OrigDst             = unix.IPV6_ORIGDSTADDR
	EpollET         uint32 = unix.EPOLLET
	EpollIn         uint32 = unix.EPOLLIN
	EpollOut        uint32 = unix.EPOLLOUT
	EpollErr        uint32 = unix.EPOLLERR
	EpollHup        uint32 = unix.EPOLLHUP
	EpollRdHup      uint32 = unix.EPOLLRDHUP
)

// SockFilter is one instruction of a classic BPF program (struct sock_filter).
type SockFilter = unix.SockFilter

// AttachFilter makes a classic BPF program decide which packets a socket gets (SO_ATTACH_FILTER, socket(7)).
func AttachFilter(fd int, prog []SockFilter) error {
	p := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &p); err != nil {
		return fmt.Errorf("attaching a packet filter: %w", err)
	}
	return nil
}

// Setns moves the calling thread into the namespace behind fd (setns(2)). The caller has locked its thread.
func Setns(fd, kind int) error { return unix.Setns(fd, kind) }

// Unshare gives the calling thread new namespaces (unshare(2)). The caller has locked its thread.
func Unshare(flags int) error { return unix.Unshare(flags) }

// Eventfd returns a non-blocking, close-on-exec event counter (eventfd(2)).
func Eventfd() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK) }

// Sockaddr is the kernel's form of an address with port: room for sockaddr_in and sockaddr_in6. It is passed without
// allocation, which syscall.Sockaddr cannot.
type Sockaddr struct {
	raw unix.RawSockaddrInet6
	len uint32
}

// SockaddrOf converts an address; a v4-mapped one becomes IPv4, a zone must have been resolved to scope before.
func SockaddrOf(a netip.AddrPort, scope uint32) (s Sockaddr) {
	ip := a.Addr().Unmap()
	p := (*[2]byte)(unsafe.Pointer(&s.raw.Port))
	p[0], p[1] = byte(a.Port()>>8), byte(a.Port())
	if ip.Is4() {
		r := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		r.Family, r.Addr, s.len = unix.AF_INET, ip.As4(), unix.SizeofSockaddrInet4
		return s
	}
	s.raw.Family, s.raw.Addr, s.raw.Scope_id, s.len = unix.AF_INET6, ip.As16(), scope, unix.SizeofSockaddrInet6
	return s
}

// AddrPort converts back; the zero value when the kernel wrote no Internet address. IPv4 in IPv6 is unmapped.
func (s *Sockaddr) AddrPort() netip.AddrPort {
	p := (*[2]byte)(unsafe.Pointer(&s.raw.Port))
	port := uint16(p[0])<<8 | uint16(p[1])
	switch s.raw.Family {
	case unix.AF_INET:
		r := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(r.Addr), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.raw.Addr).Unmap(), port)
	}
	return netip.AddrPort{}
}

// Family returns AF_INET or AF_INET6, whichever reaches a.
func Family(a netip.Addr) int {
	if a.Unmap().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// Socket returns a non-blocking, close-on-exec socket of the calling thread's network namespace (socket(2)).
func Socket(family, kind, proto int) (int, error) {
	return unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
}

// Connect is connect(2); EINPROGRESS is not an error to a non-blocking caller and is returned as it is.
func Connect(fd int, to netip.AddrPort) error {
	s := SockaddrOf(to, 0)
	_, _, e := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(s.len))
	return errnoOf(e)
}

// Bind is bind(2).
func Bind(fd int, to netip.AddrPort) error {
	s := SockaddrOf(to, 0)
	_, _, e := syscall.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(s.len))
	return errnoOf(e)
}

// Accept is accept4(2) with a non-blocking, close-on-exec result and the peer's address.
func Accept(fd int) (int, netip.AddrPort, error) {
	s := Sockaddr{len: unix.SizeofSockaddrInet6}
	n, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&s.len)), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0, 0)
	if e != 0 {
		return -1, netip.AddrPort{}, e
	}
	return int(n), s.AddrPort(), nil
}

// Sockname is getsockname(2) for Internet sockets.
func Sockname(fd int) (netip.AddrPort, error) { return name(unix.SYS_GETSOCKNAME, fd) }

// Peername is getpeername(2) for Internet sockets.
func Peername(fd int) (netip.AddrPort, error) { return name(unix.SYS_GETPEERNAME, fd) }

func name(trap uintptr, fd int) (netip.AddrPort, error) {
	s := Sockaddr{len: unix.SizeofSockaddrInet6}
	if _, _, e := syscall.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&s.len))); e != 0 {
		return netip.AddrPort{}, e
	}
	return s.AddrPort(), nil
}

// SendTo sends one datagram without waiting (sendto(2), MSG_DONTWAIT); to may be the zero value on a connected socket.
func SendTo(fd int, p []byte, to netip.AddrPort) error {
	if !to.IsValid() {
		_, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		return errnoOf(e)
	}
	s := SockaddrOf(to, 0)
	_, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL,
		uintptr(unsafe.Pointer(&s.raw)), uintptr(s.len))
	return errnoOf(e)
}

func errnoOf(e syscall.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}

// Read and Write are read(2) and write(2) of a non-blocking descriptor without telling the Go scheduler: they never wait.
func Read(fd int, p []byte) (int, error) { return rw(unix.SYS_READ, fd, p) }

// Write is write(2) of a non-blocking descriptor; see Read. A socket whose peer is gone gives EPIPE and SIGPIPE, which
// the Go runtime ignores for descriptors above 2.
func Write(fd int, p []byte) (int, error) { return rw(unix.SYS_WRITE, fd, p) }

func rw(trap uintptr, fd int, p []byte) (int, error) {
	for {
		n, _, e := syscall.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return -1, e
		}
		return int(n), nil
	}
}

// SpliceSocket moves up to n bytes between a socket and a pipe without waiting (splice(2), SPLICE_F_NONBLOCK) and without
// telling the Go scheduler.
func SpliceSocket(in, out, n int) (int, error) {
	for {
		m, _, e := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(in), 0, uintptr(out), 0, uintptr(n), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return -1, e
		}
		return int(m), nil
	}
}

// PipeOf returns a non-blocking pipe of the wished size in bytes and the size it has got: past
// fs.pipe-user-pages-soft an unprivileged user's pipes have one page (pipe(7)).
func PipeOf(size int) (r, w, got int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, -1, 0, fmt.Errorf("making a pipe: %w", err)
	}
	unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, size) //nolint:errcheck // the size it has got is what counts
	got, err = unix.FcntlInt(uintptr(p[1]), unix.F_GETPIPE_SZ, 0)
	return p[0], p[1], got, err
}

// SocketError takes the pending error of a socket (SO_ERROR, socket(7)); nil when there is none.
func SocketError(fd int) error {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if n != 0 {
		return unix.Errno(n)
	}
	return nil
}

// ResetOnClose makes close(2) of a TCP socket send RST (SO_LINGER with no time, socket(7)).
func ResetOnClose(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) //nolint:errcheck // then the peer sees FIN
}

// BindPacket binds a packet socket to an interface for all protocols (packet(7)).
func BindPacket(fd, ifindex int) error {
	return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: ifindex})
}

// RecvFrom receives one datagram without waiting (recvfrom(2), MSG_DONTWAIT).
func RecvFrom(fd int, p []byte) (int, netip.AddrPort, error) {
	s := Sockaddr{len: unix.SizeofSockaddrInet6}
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT,
		uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&s.len)))
	if e != 0 {
		return -1, netip.AddrPort{}, e
	}
	return int(n), s.AddrPort(), nil
}

// SharedMemory returns a close-on-exec memory file of size bytes that processes map and hand on (memfd_create(2)).
func SharedMemory(name string, size int) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("creating memory file %q: %w", name, err)
	}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("sizing memory file %q: %w", name, err)
	}
	return fd, nil
}

// EpollNow returns the events that are there, without waiting and without telling the Go scheduler (epoll_pwait(2)).
func EpollNow(epoll int, events []syscall.EpollEvent) (int, error) {
	n, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
