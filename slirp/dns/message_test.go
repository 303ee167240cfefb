package dns

import (
	"net/netip"
	"testing"
)

// query asks for a name of labels.
func query(kind byte, labels ...string) []byte {
	m := []byte{7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for _, l := range labels {
		m = append(append(m, byte(len(l))), l...)
	}
	return append(m, 0, 0, kind, 0, 1)
}

func TestParseQuestion(t *testing.T) {
	q, ok := parseQuestion(query(typeA, "WeB", "lan"))
	if !ok || q.name != "web.lan" || q.kind != typeA || q.class != classIN {
		t.Fatalf("%+v, %v", q, ok)
	}
	whole := query(typeA, "web")
	for n := range whole {
		if _, ok := parseQuestion(whole[:n]); ok {
			t.Errorf("cut to %d bytes it is taken", n)
		}
	}
	response := query(typeA, "web")
	response[2] |= 0x80
	if _, ok := parseQuestion(response); ok {
		t.Error("a response is taken")
	}
}

func TestAddresses(t *testing.T) {
	list := []netip.Addr{netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("fd00::2")}
	for _, c := range []struct {
		kind byte
		size int
	}{{typeA, 4}, {typeAAAA, 16}, {16, 0}} {
		m := query(c.kind, "web")
		q, _ := parseQuestion(m)
		r := addresses(m, q, list)
		want := len(m)
		if c.size > 0 {
			want += 12 + c.size
		}
		if len(r) != want || r[2]&0x84 != 0x84 || r[3]&0xf != 0 || !answers(m, r) {
			t.Errorf("type %d: % x", c.kind, r)
		}
	}
}

func TestReverseAddr(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"2.0.18.172.in-addr.arpa", "172.18.0.2"},
		{"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", "fd00::2"},
		{"18.172.in-addr.arpa", ""},
		{"web.lan", ""},
	} {
		a, ok := reverseAddr(c.name)
		if ok != (c.want != "") || ok && a.String() != c.want {
			t.Errorf("%s: %v, %v", c.name, a, ok)
		}
	}
}

func FuzzParseQuestion(f *testing.F) {
	f.Add(query(typeA, "web", "example", "com"))
	f.Fuzz(func(t *testing.T, m []byte) {
		q, ok := parseQuestion(m)
		if !ok {
			return
		}
		addresses(m, q, []netip.Addr{netip.MustParseAddr("192.0.2.1")})
		failure(m)
		reverseAddr(q.name)
	})
}
