package gateway

import (
	"encoding/binary"
	"syscall"
	"testing"
)

// run executes a classic BPF program as the kernel does, for the instructions that wanted uses.
func run(t *testing.T, p []byte) bool {
	t.Helper()
	prog := wanted()
	var a, x uint32
	for i := 0; i < len(prog); i++ {
		in := prog[i]
		at := int(in.K)
		if in.Code == ldByteX {
			at += int(x)
		}
		size := map[uint16]int{ldByte: 1, ldByteX: 1, ldIPv4Len: 1, ldHalf: 2}[in.Code]
		if at+size > len(p) && size > 0 {
			return false // a load beyond the packet ends the program with 0
		}
		jump := func(yes bool) {
			if yes {
				i += int(in.Jt)
			} else {
				i += int(in.Jf)
			}
		}
		switch in.Code {
		case ldByte, ldByteX:
			a = uint32(p[at])
		case ldHalf:
			a = uint32(binary.BigEndian.Uint16(p[at:]))
		case ldIPv4Len:
			x = 4 * uint32(p[at]&15)
		case and:
			a &= in.K
		case jumpEqual:
			jump(a == in.K)
		case jumpAny:
			jump(a&in.K != 0)
		case ret:
			return in.K != 0
		default:
			t.Fatalf("instruction %d: unknown code %#x", i, in.Code)
		}
	}
	t.Fatal("the program does not end")
	return false
}

func v4(proto byte, options int, fragment uint16, transport ...byte) []byte {
	b := make([]byte, 20+options)
	b[0], b[9] = 0x40|byte(5+options/4), proto
	binary.BigEndian.PutUint16(b[6:], fragment)
	return append(b, transport...)
}

func v6(next byte, transport ...byte) []byte {
	b := make([]byte, 40)
	b[0], b[6] = 0x60, next
	return append(b, transport...)
}

func flags(f byte) []byte { return append(make([]byte, 13), f, 0, 0, 0, 0, 0, 0) }

func TestFilterTakesOnlyWhatTheRelayReads(t *testing.T) {
	for _, c := range []struct {
		name string
		p    []byte
		want bool
	}{
		{"SYN", v4(6, 0, 0x4000, flags(0x02)...), true},
		{"SYN with IP options", v4(6, 8, 0, flags(0x02)...), true},
		{"SYN with ECN", v4(6, 0, 0, flags(0xc2)...), true},
		{"SYN+ACK", v4(6, 0, 0, flags(0x12)...), false},
		{"data", v4(6, 0, 0, flags(0x18)...), false},
		{"first fragment", v4(6, 0, 0x2000, flags(0x02)...), false},
		{"later fragment", v4(6, 0, 0x0010, flags(0x02)...), false},
		{"echo request", v4(1, 0, 0, 8, 0, 0, 0), true},
		{"echo reply", v4(1, 0, 0, 0, 0, 0, 0), false},
		{"UDP", v4(17, 0, 0, flags(0x02)...), false},
		{"SYN over IPv6", v6(6, flags(0x02)...), true},
		{"SYN+ACK over IPv6", v6(6, flags(0x12)...), false},
		{"echo request over IPv6", v6(58, 128, 0), true},
		{"neighbour solicitation", v6(58, 135, 0), false},
		{"short", v4(6, 0, 0), false},
		{"ARP", []byte{0, 1, 8, 0, 6, 4, 0, 1}, false},
	} {
		if got := run(t, c.p); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestBatchWritesWholeMessages(t *testing.T) {
	for name, m := range map[string]*batch{"rules": relayRules(RulesSocket, false), "rules with conntrack": relayRules(RulesConntrack, true)} {
		m.finish()
		p, n := m.b, 0
		for len(p) > 0 {
			size := int(binary.NativeEndian.Uint32(p))
			if size < syscall.NLMSG_HDRLEN || size%4 != 0 || size > len(p) {
				t.Fatalf("%s: message %d has %d of %d bytes", name, n, size, len(p))
			}
			if n++; int(binary.NativeEndian.Uint32(p[8:])) != n {
				t.Errorf("%s: message %d has another number", name, n)
			}
			p = p[size:]
		}
		if n != len(m.whats) || m.acks != n-2 {
			t.Errorf("%s: %d messages, %d named, %d acknowledged", name, n, len(m.whats), m.acks)
		}
	}
}

func TestGroupRange(t *testing.T) {
	for _, c := range []struct {
		name, text string
		low, high  uint64
		ok         bool
	}{
		{"one id", "         0       1001          1\n", 0, 0, true},
		{"own and a range", "0 1001 1\n1 200000 65536\n", 0, 65536, true},
		{"own above the range", "0 300000 1\n1 200000 65536\n", 1, 65536, true},
		{"none", "", 0, 0, false},
	} {
		if low, high, ok := groupRange(c.text); low != c.low || high != c.high || ok != c.ok {
			t.Errorf("%s: %d to %d, %v", c.name, low, high, ok)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte{20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, p []byte) {
		m := &batch{whats: []string{"x"}}
		m.answers(p, func(_ uint16, body []byte) { attributes(body, func(uint16, []byte) {}) }) //nolint:errcheck // it must only not fail
	})
}
