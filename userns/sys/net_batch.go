package sys

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// Batch is room for a number of datagrams that are received by one system call and sent by another (recvmmsg(2),
// sendmmsg(2)), with their addresses and one control message each. It belongs to one thread at a time.
type Batch struct {
	m    []mmsghdr
	iov  []unix.Iovec
	name []Sockaddr
	ctl  [][64]byte
	buf  []byte
	size int
}

// NewBatch returns room for n datagrams of up to size bytes each; longer ones are cut off.
func NewBatch(n, size int) *Batch {
	return &Batch{m: make([]mmsghdr, n), iov: make([]unix.Iovec, n), name: make([]Sockaddr, n), ctl: make([][64]byte, n), buf: make([]byte, n*size), size: size}
}

// Recv takes waiting datagrams and returns how many, EAGAIN when there are none.
func (b *Batch) Recv(fd int) (int, error) {
	for i := range b.m {
		b.iov[i] = unix.Iovec{Base: &b.buf[i*b.size], Len: uint64(b.size)}
		b.m[i].hdr = unix.Msghdr{Iov: &b.iov[i], Iovlen: 1, Name: (*byte)(unsafe.Pointer(&b.name[i].raw)), Namelen: unix.SizeofSockaddrInet6,
			Control: &b.ctl[i][0], Controllen: 64}
	}
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.m[0])), uintptr(len(b.m)), unix.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return 0, e
	}
	for i := range int(n) {
		b.name[i].len = b.m[i].hdr.Namelen
		b.iov[i].Len = uint64(b.m[i].n)
	}
	return int(n), nil
}

// Len returns the number of datagrams b has room for.
func (b *Batch) Len() int { return len(b.m) }

// Data returns datagram i of the last Recv.
func (b *Batch) Data(i int) []byte { return b.buf[i*b.size:][:b.m[i].n] }

// From returns the sender of datagram i of the last Recv.
func (b *Batch) From(i int) netip.AddrPort { return b.name[i].AddrPort() }

// Control returns the first control message of datagram i: its level, type and data; data is nil when there is none.
func (b *Batch) Control(i int) (level, kind int, data []byte) {
	n := int(b.m[i].hdr.Controllen)
	if n < unix.SizeofCmsghdr {
		return 0, 0, nil
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b.ctl[i][0]))
	return int(h.Level), int(h.Type), b.ctl[i][unix.SizeofCmsghdr:min(int(h.Len), n, 64)]
}

// Send sends datagrams from up to to of the last Recv on fd, all to one address (the zero value: where fd is connected
// to). It returns at the first that the kernel refuses, with its number.
func (b *Batch) Send(fd, from, to int, dst netip.AddrPort) (int, error) {
	return b.SendFrom(fd, from, to, dst, netip.Addr{})
}

// SendFrom is Send with a chosen source address (IP_PKTINFO, ip(7); IPV6_PKTINFO, ipv6(7)).
func (b *Batch) SendFrom(fd, from, to int, dst netip.AddrPort, src netip.Addr) (int, error) {
	s, control := Sockaddr{}, packetInfo(src)
	if dst.IsValid() {
		s = SockaddrOf(dst, 0)
	}
	for i := from; i < to; i++ {
		h := &b.m[i].hdr
		h.Name, h.Namelen, h.Control, h.Controllen = nil, 0, nil, 0
		if dst.IsValid() {
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&s.raw)), s.len
		}
		if len(control) > 0 {
			h.Control, h.Controllen = &control[0], uint64(len(control))
		}
	}
	for from < to {
		n, _, e := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.m[from])), uintptr(to-from), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if e != 0 {
			return from, e
		}
		from += int(n)
	}
	return to, nil
}

func packetInfo(src netip.Addr) []byte {
	switch {
	case !src.IsValid():
		return nil
	case src.Unmap().Is4():
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: src.Unmap().As4()})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: src.As16()})
}

// SocketFault is one entry of a socket's error queue: what the network answered to a datagram of ours (ip(7), IP_RECVERR).
type SocketFault struct {
	Errno   syscall.Errno
	MTU     int            // of the path, with EMSGSIZE
	To      netip.AddrPort // where the datagram went
	Local   bool           // found by this machine, not reported by another
	Payload []byte         // the first bytes of the datagram
}

// TakeFault takes the oldest entry of the error queue, EAGAIN when it is empty.
func TakeFault(fd int, buf []byte) (f SocketFault, err error) {
	oob := make([]byte, 128)
	n, on, _, from, err := unix.Recvmsg(fd, buf, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err != nil {
		return f, err
	}
	f.Payload = buf[:n]
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		f.To = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		f.To = netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	if on >= unix.SizeofCmsghdr+16 { // struct sock_extended_err
		e := oob[unix.SizeofCmsghdr:]
		f.Errno = syscall.Errno(*(*uint32)(unsafe.Pointer(&e[0])))
		f.Local = e[4] == 1 // SO_EE_ORIGIN_LOCAL
		f.MTU = int(*(*uint32)(unsafe.Pointer(&e[8])))
	}
	return f, nil
}
