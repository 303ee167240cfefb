package relay

import (
	"encoding/binary"
	"net/netip"
	"syscall"
)

// refusal returns what the network answers to a packet when reaching its destination ended in errno: RST, ICMP
// unreachable, or nothing (nil) where a router would be silent.
func refusal(p *packet, errno syscall.Errno) []byte {
	switch errno {
	case syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EADDRNOTAVAIL:
		if p.proto == protoTCP {
			return reset(p)
		}
	case syscall.ETIMEDOUT:
		return nil
	}
	return unreachable(p.src.Addr(), p.dst.Addr(), p.bytes, reasonOf(errno))
}

// reset answers a SYN with RST and ACK (RFC 9293, 3.10.7.1).
func reset(p *packet) []byte {
	b, t := ipHeader(p.dst.Addr(), p.src.Addr(), protoTCP, 20)
	syn := p.bytes[p.off:]
	copy(t[0:2], syn[2:4])
	copy(t[2:4], syn[0:2])
	binary.BigEndian.PutUint32(t[8:], binary.BigEndian.Uint32(syn[4:])+1)
	t[12], t[13] = 5<<4, 0x14
	finishChecksums(b)
	return b
}

// reason is why a destination cannot be reached, as ICMP (RFC 792, 1812) and ICMPv6 (RFC 4443) code it.
type reason struct {
	code4, kind6, code6 byte
	mtu                 uint16
}

func reasonOf(errno syscall.Errno) reason {
	switch errno {
	case syscall.EHOSTUNREACH, syscall.EHOSTDOWN:
		return reason{code4: 1, kind6: 1, code6: 3}
	case syscall.ECONNREFUSED:
		return reason{code4: 3, kind6: 1, code6: 4}
	case syscall.EACCES, syscall.EPERM:
		return reason{code4: 13, kind6: 1, code6: 1}
	}
	return reason{code4: 0, kind6: 1, code6: 0}
}

// tooBig is "fragmentation needed" and "packet too big".
func tooBig(mtu int) reason { return reason{code4: 4, kind6: 2, mtu: uint16(min(mtu, 65535))} }

// unreachable tells src that its packet to dst did not arrive; original is the start of that packet.
func unreachable(src, dst netip.Addr, original []byte, why reason) []byte {
	quoted := original[:min(len(original), 40+28)]
	if src.Is4() {
		b, t := ipHeader(dst, src, protoICMP, 8+len(quoted))
		t[0], t[1] = 3, why.code4
		put16(t, 6, why.mtu)
		copy(t[8:], quoted)
		finishChecksums(b)
		return b
	}
	b, t := ipHeader(dst, src, protoICMPv6, 8+len(quoted))
	t[0], t[1] = why.kind6, why.code6
	if why.kind6 == 2 {
		put16(t, 6, why.mtu)
	}
	copy(t[8:], quoted)
	finishChecksums(b)
	return b
}

// datagram returns the start of the UDP packet that a container has sent, as far as an ICMP error must quote it.
func datagram(src, dst netip.AddrPort, size int) []byte {
	b, t := ipHeader(src.Addr(), dst.Addr(), 17, 8)
	put16(t, 0, src.Port())
	put16(t, 2, dst.Port())
	put16(t, 4, uint16(min(8+size, 65535)))
	if src.Addr().Is4() {
		put16(b, 2, uint16(min(28+size, 65535)))
		put16(b, 10, ^sum(b[:20], 0))
	} else {
		put16(b, 4, uint16(min(8+size, 65535)))
	}
	return b
}
