package pasta

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/slirptest"
)

func TestMain(m *testing.M) { os.Exit(slirptest.Main(m, nil)) }

func TestArguments(t *testing.T) {
	p := &Program{}
	c := &Config{Container: "0123456789abcdef", NetNS: "/n", UserNS: "/u", Dir: "/d", Interface: "eth0", MTU: 1500}
	any4, one := netip.MustParseAddrPort("0.0.0.0:8080"), netip.MustParseAddrPort("127.0.0.1:53")
	a := strings.Join(p.arguments(c, []slirp.Published{{Port: slirp.Port{Number: 80, Proto: slirp.TCP}, Host: any4}, {Port: slirp.Port{Number: 53, Proto: slirp.UDP}, Host: one}}), " ")
	for _, want := range []string{"--no-map-gw", "--tcp-ports 8080:80", "--udp-ports 127.0.0.1/53:53", "--userns /u --netns /n", "--tcp-ns none"} {
		if !strings.Contains(a, want) {
			t.Errorf("%q is missing in %q", want, a)
		}
	}
	if a := strings.Join(p.arguments(c, nil), " "); !strings.Contains(a, "--tcp-ports none --udp-ports none") {
		t.Errorf("without ports: %q", a)
	}
}

type network struct{ p *Program }

func (n network) Attach(t testing.TB, b *slirptest.Box, _ string, ports ...string) slirp.Endpoint {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := gateway.Prepare(b.NetNS, func() error { return nil }); err != nil { // as for every container: ping without a capability
		t.Fatal(err)
	}
	var specs []slirp.PortSpec
	for _, p := range ports {
		s, err := slirp.ParsePort(p)
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, s...)
	}
	i, err := n.p.Start(ctx, Config{Container: b.ID, NetNS: fmt.Sprintf("/proc/%d/ns/net", b.PID), UserNS: fmt.Sprintf("/proc/%d/ns/user", b.PID),
		Dir: t.TempDir(), Interface: "eth0", MTU: 1500}, specs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i.Endpoint
}

func TestConforms(t *testing.T) {
	p, err := Find()
	slirptest.Require(t, err == nil, "%v", err)
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	slirptest.Require(t, err == nil, "%v", err)
	f.Close()
	slirptest.Conformance(t, network{p}, slirp.TraitsOf("pasta"))
}
