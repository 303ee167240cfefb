package relay

import (
	"encoding/binary"
	"net/netip"
)

// Protocol numbers of an IP header.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoICMPv6 = 58
)

// packet is a parsed IP packet whose transport header is whole; its bytes are those of the caller.
type packet struct {
	bytes []byte // cut to the length of its header
	off   int    // of the transport header
	proto byte
	src   netip.AddrPort // ports are 0 for ICMP
	dst   netip.AddrPort
}

// parse reads a frame that a container sent; ok is false for everything but whole, unfragmented TCP and ICMP echo.
func parse(b []byte) (p packet, ok bool) {
	if len(b) < 20 {
		return p, false
	}
	var src, dst netip.Addr
	var total int
	switch b[0] >> 4 {
	case 4:
		p.off, p.proto, total = int(b[0]&15)*4, b[9], int(binary.BigEndian.Uint16(b[2:]))
		if p.off < 20 || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return p, false
		}
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	case 6:
		if len(b) < 40 {
			return p, false
		}
		p.off, p.proto, total = 40, b[6], 40+int(binary.BigEndian.Uint16(b[4:]))
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	default:
		return p, false
	}
	if total > len(b) || !p.whole(total, b[0]>>4 == 4) {
		return p, false
	}
	p.bytes = b[:total]
	var sport, dport uint16
	if p.proto == protoTCP {
		sport, dport = binary.BigEndian.Uint16(b[p.off:]), binary.BigEndian.Uint16(b[p.off+2:])
	}
	p.src, p.dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return p, true
}

func (p *packet) whole(total int, v4 bool) bool {
	switch {
	case p.proto == protoTCP:
		return total >= p.off+20
	case p.proto == protoICMP && v4, p.proto == protoICMPv6 && !v4:
		return total >= p.off+8
	}
	return false
}

func (p *packet) isV4() bool { return p.bytes[0]>>4 == 4 }

// isSYN tells a connection's first segment.
func (p *packet) isSYN() bool { return p.proto == protoTCP && p.bytes[p.off+13]&0x17 == 0x02 }

// isEcho tells an echo request.
func (p *packet) isEcho() bool {
	return p.proto == protoICMP && p.isV4() && p.bytes[p.off] == 8 || p.proto == protoICMPv6 && !p.isV4() && p.bytes[p.off] == 128
}

// copied returns a packet with bytes of its own.
func (p *packet) copied() packet {
	c := *p
	c.bytes = append([]byte(nil), p.bytes...)
	return c
}

// finishChecksums completes checksums: a packet over veth carries only the part that a network card would complete.
func finishChecksums(b []byte) {
	off, proto := 40, b[6]
	if b[0]>>4 == 4 {
		off, proto = int(b[0]&15)*4, b[9]
		put16(b, 10, 0)
		put16(b, 10, ^sum(b[:off], 0))
	}
	at := map[byte]int{protoTCP: 16, protoICMP: 2, protoICMPv6: 2}[proto]
	t := b[off:]
	put16(t, at, 0)
	put16(t, at, ^sum(t, pseudo(b, proto, len(t))))
}

func put16(b []byte, at int, v uint16) { binary.BigEndian.PutUint16(b[at:], v) }

// pseudo is the sum over the pseudo-header of TCP (RFC 9293) and ICMPv6 (RFC 4443); ICMP has none.
func pseudo(b []byte, proto byte, size int) uint32 {
	if proto == protoICMP {
		return 0
	}
	addrs := b[8:40]
	if b[0]>>4 == 4 {
		addrs = b[12:20]
	}
	return add(addrs, uint32(proto)+uint32(size))
}

func add(b []byte, s uint32) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

// sum is the Internet checksum's sum (RFC 1071), not complemented.
func sum(b []byte, start uint32) uint16 {
	s := add(b, start)
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// ipHeader returns a packet with an IP header and room for size bytes of transport behind it, and that room.
func ipHeader(src, dst netip.Addr, proto byte, size int) (b, transport []byte) {
	if src.Is4() {
		b = make([]byte, 20+size)
		b[0], b[8], b[9] = 0x45, 64, proto
		put16(b, 2, uint16(len(b)))
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
		return b, b[20:]
	}
	b = make([]byte, 40+size)
	b[0], b[6], b[7] = 0x60, proto, 64
	put16(b, 4, uint16(size))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return b, b[40:]
}
