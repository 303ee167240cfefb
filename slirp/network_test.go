package slirp

import (
	"errors"
	"net/netip"
	"testing"
)

func prefixes(l ...string) (out []netip.Prefix) {
	for _, s := range l {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestFreeSubnet(t *testing.T) {
	for _, c := range []struct {
		name string
		used []netip.Prefix
		want string
	}{
		{"nothing used", nil, "172.17.0.0/16"},
		{"docker is there", prefixes("172.17.0.0/16"), "172.18.0.0/16"},
		{"a part is used", prefixes("172.17.5.0/24", "172.18.0.1/32"), "172.19.0.0/16"},
		{"a wide route", prefixes("172.16.0.0/12"), "192.168.0.0/20"},
	} {
		if s, err := FreeSubnet(c.used); err != nil || s.Subnet.String() != c.want || s.Gateway != s.Subnet.Addr().Next() {
			t.Errorf("%s: %v, %v; want %s", c.name, s, err, c.want)
		}
	}
	if _, err := FreeSubnet(prefixes("0.0.0.0/0")); !errors.Is(err, ErrNoAddress) {
		t.Errorf("all used: %v", err)
	}
}

func TestHostRoutes(t *testing.T) {
	got := HostRoutes("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\nbroken\n")
	if len(got) != 1 || got[0] != netip.MustParsePrefix("172.17.0.0/16") {
		t.Errorf("%v", got)
	}
}

func TestAllocate(t *testing.T) {
	s := Subnet{Subnet: netip.MustParsePrefix("10.1.0.0/29"), Gateway: netip.MustParseAddr("10.1.0.1")}
	taken := map[netip.Addr]bool{}
	for _, want := range []string{"10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"} {
		a, err := s.Allocate(netip.Addr{}, func(a netip.Addr) bool { return taken[a] })
		if err != nil || a.String() != want {
			t.Fatalf("%v, %v; want %s", a, err, want)
		}
		taken[a] = true
	}
	in := func(a netip.Addr) bool { return taken[a] }
	for _, c := range []struct {
		want string
		err  error
	}{{"", ErrNoAddress}, {"10.1.0.3", ErrAddressUse}, {"10.1.0.1", ErrAddressUse}, {"10.1.0.7", ErrAddressUse}} {
		var a netip.Addr
		if c.want != "" {
			a = netip.MustParseAddr(c.want)
		}
		if _, err := s.Allocate(a, in); !errors.Is(err, c.err) {
			t.Errorf("%q: %v, want %v", c.want, err, c.err)
		}
	}
	if _, err := s.Allocate(netip.MustParseAddr("10.2.0.1"), in); err == nil {
		t.Error("an address of another subnet was given out")
	}
}

func TestMAC(t *testing.T) {
	m := MACOf(netip.MustParseAddr("172.17.0.2"))
	if m.String() != "02:42:ac:11:00:02" {
		t.Error(m)
	}
	if p, err := ParseMAC(m.String()); err != nil || p != m {
		t.Errorf("%v, %v", p, err)
	}
	for _, bad := range []string{"02:42", "02:42:ac:11:00:zz", "02:42:ac:11:00:2"} {
		if _, err := ParseMAC(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestOutside(t *testing.T) {
	p := Policy{Gateways: []netip.Addr{netip.MustParseAddr("172.17.0.1")}, Foreign: prefixes("172.17.0.0/16", "172.18.0.0/16")}
	for _, bad := range []string{"127.0.0.1", "127.0.0.53", "0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.251", "169.254.169.254", "172.17.0.1", "172.17.0.5", "172.18.0.2",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:192.0.2.1", "ff02::1", "fe80::1"} {
		if to, ok := p.Outside(netip.AddrPortFrom(netip.MustParseAddr(bad), 80)); ok {
			t.Errorf("%s leads to %s", bad, to)
		}
	}
	if _, ok := p.Outside(netip.AddrPort{}); ok {
		t.Error("no address leads somewhere")
	}
	for _, good := range []string{"192.0.2.1:80", "10.0.0.1:53", "[2001:db8::1]:443", "172.19.0.1:1"} {
		a := netip.MustParseAddrPort(good)
		if to, ok := p.Outside(a); !ok || to != a {
			t.Errorf("%s leads to %s, %v", a, to, ok)
		}
	}
	p.Loopback, p.LinkLocal = true, true
	if to, ok := p.Outside(netip.MustParseAddrPort("172.17.0.1:80")); !ok || to.String() != "127.0.0.1:80" {
		t.Errorf("the gateway leads to %s, %v", to, ok)
	}
	if _, ok := p.Outside(netip.MustParseAddrPort("169.254.169.254:80")); !ok {
		t.Error("link-local is closed though asked for")
	}
	p.Internal = true
	if _, ok := p.Outside(netip.MustParseAddrPort("192.0.2.1:80")); ok {
		t.Error("an internal network has a way out")
	}
}

func TestStore(t *testing.T) {
	s := Store{Dir: t.TempDir() + "/networks", Account: "ann"}
	first, err := s.List()
	if err != nil || len(first) != 3 || first[0].Name != "bridge" || first[2].Driver != DriverNull {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := s.List()
	if err != nil || again[0].ID != first[0].ID || !again[0].Created.Equal(first[0].Created) || again[0].ID == BuiltInID("bob", "bridge") {
		t.Errorf("the built-in network changes: %+v, %v", again, err)
	}
	n, err := s.Create(Network{Name: "app", IPv6: true}, prefixes("172.18.0.0/16"))
	if err != nil || len(n.Subnets) != 2 || overlaps(n.Subnets[0].Subnet, prefixes("172.18.0.0/16", first[0].Subnets[0].Subnet.String())) {
		t.Fatalf("%+v, %v", n, err)
	}
	if got, err := s.Get(n.ID[:8]); err != nil || got.Name != "app" {
		t.Errorf("by the start of its id: %+v, %v", got, err)
	}
	for _, c := range []struct {
		name string
		n    Network
		err  error
	}{{"twice", Network{Name: "app"}, ErrExists}, {"built in", Network{Name: "host"}, ErrBuiltIn}} {
		if _, err := s.Create(c.n, nil); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
	}
	if _, err := s.Create(Network{Name: "x", Subnets: n.Subnets[:1]}, nil); err == nil {
		t.Error("overlapping subnets are taken")
	}
	if err := s.Remove(first[0]); !errors.Is(err, ErrBuiltIn) {
		t.Errorf("removing bridge: %v", err)
	}
	if err := s.Remove(n); err != nil {
		t.Error(err)
	}
	if _, err := s.Get("app"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after removal: %v", err)
	}
}

func TestValidate(t *testing.T) {
	subnet := func(s, gw, r string) []Subnet {
		out := Subnet{Subnet: netip.MustParsePrefix(s)}
		if gw != "" {
			out.Gateway = netip.MustParseAddr(gw)
		}
		if r != "" {
			out.Range = netip.MustParsePrefix(r)
		}
		return []Subnet{out}
	}
	for _, c := range []struct {
		name string
		n    Network
	}{
		{"name", Network{Name: "-x"}},
		{"empty name", Network{}},
		{"mtu", Network{Name: "x", Options: map[string]string{OptMTU: "12"}}},
		{"host bits", Network{Name: "x", Subnets: subnet("10.0.0.1/24", "", "")}},
		{"too small", Network{Name: "x", Subnets: subnet("10.0.0.0/31", "", "")}},
		{"loopback", Network{Name: "x", Subnets: subnet("127.0.0.0/8", "", "")}},
		{"gateway", Network{Name: "x", Subnets: subnet("10.0.0.0/24", "10.0.1.1", "")}},
		{"range", Network{Name: "x", Subnets: subnet("10.0.0.0/24", "", "10.0.0.0/16")}},
	} {
		if err := c.n.Validate(); err == nil {
			t.Errorf("%s is taken", c.name)
		}
	}
}

func TestResolver(t *testing.T) {
	r := ParseResolver("# comment\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nsearch example.com lan\noptions edns0 trust-ad\n")
	if len(r.Servers) != 2 || len(r.Search) != 2 || len(r.Options) != 2 {
		t.Fatalf("%+v", r)
	}
	if got := r.Container(nil, nil).String(); got != "nameserver 127.0.0.11\nsearch example.com lan\noptions ndots:0\n" {
		t.Errorf("%q", got)
	}
	if got := r.Container([]string{"."}, []string{"ndots:2"}).String(); got != "nameserver 127.0.0.11\noptions ndots:2\n" {
		t.Errorf("%q", got)
	}
}
