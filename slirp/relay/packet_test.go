package relay

import (
	"net/netip"
	"syscall"
	"testing"
)

// segment is a SYN from src to dst.
func segment(src, dst string) []byte {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	b, t := ipHeader(s.Addr(), d.Addr(), protoTCP, 24)
	put16(t, 0, s.Port())
	put16(t, 2, d.Port())
	t[4], t[12], t[13] = 9, 6<<4, 0x02
	finishChecksums(b)
	return b
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, src, dst string }{
		{"IPv4", "172.17.0.2:40000", "192.0.2.1:80"},
		{"IPv6", "[fd00::2]:40000", "[2001:db8::1]:443"},
	} {
		b := segment(c.src, c.dst)
		p, ok := parse(append(b, "trailer"...))
		if !ok || !p.isSYN() || p.isEcho() || p.src.String() != c.src || p.dst.String() != c.dst || len(p.bytes) != len(b) {
			t.Errorf("%s: %+v, %v", c.name, p, ok)
		}
		for n := range b {
			if _, ok := parse(b[:n]); ok {
				t.Errorf("%s: cut to %d bytes it is taken", c.name, n)
			}
		}
	}
	fragment := segment("172.17.0.2:1", "192.0.2.1:2")
	fragment[6] = 0x20
	if _, ok := parse(fragment); ok {
		t.Error("a fragment is taken")
	}
}

// TestAnswersAreWhole checks lengths and checksums of what containers are told: a sum over correct ones is 0xffff.
func TestAnswersAreWhole(t *testing.T) {
	for _, syn := range [][]byte{segment("172.17.0.2:40000", "192.0.2.1:80"), segment("[fd00::2]:40000", "[2001:db8::1]:443")} {
		p, _ := parse(syn)
		for _, errno := range []syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES} {
			b := refusal(&p, errno)
			off, proto := 40, b[6]
			if p.isV4() {
				off, proto = 20, b[9]
				if sum(b[:20], 0) != 0xffff {
					t.Errorf("%v: header checksum", errno)
				}
			}
			if sum(b[off:], pseudo(b, proto, len(b)-off)) != 0xffff {
				t.Errorf("%v: checksum of % x", errno, b)
			}
		}
		if refusal(&p, syscall.ETIMEDOUT) != nil {
			t.Error("a timeout is answered")
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(segment("172.17.0.2:40000", "192.0.2.1:80"))
	f.Add(segment("[fd00::2]:40000", "[2001:db8::1]:443"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parse(b)
		if !ok {
			return
		}
		c := p.copied()
		c.isSYN()
		c.isEcho()
		if c.proto == protoTCP {
			refusal(&c, syscall.ECONNREFUSED)
		}
		refusal(&c, syscall.EHOSTUNREACH)
		finishChecksums(c.bytes)
	})
}
