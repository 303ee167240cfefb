package slirp4netns

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/slirptest"
)

func TestMain(m *testing.M) { os.Exit(slirptest.Main(m, nil)) }

func TestParse(t *testing.T) {
	p := parse("slirp4netns version 1.2.0\ncommit: 65\n", "-a, --api-socket=PATH    specify API socket path\n--enable-seccomp  limit\n")
	if p.Version != "1.2.0" || !p.API || !p.Sandbox {
		t.Errorf("%+v", p)
	}
	if p := parse("slirp4netns version 0.3.0", "usage"); p.API || p.Sandbox {
		t.Errorf("%+v", p)
	}
}

func TestArguments(t *testing.T) {
	p := &Program{Sandbox: true}
	c := &Config{Container: "0123456789abcdef", NetNS: "/n", UserNS: "/u", Dir: "/d", Interface: "eth0", MTU: 1500}
	a := p.arguments(c)
	for _, want := range []string{"--disable-host-loopback", "--enable-seccomp", "--api-socket=/d/s4n-0123456789ab.sock", "--userns-path=/u"} {
		if !slices.Contains(a, want) {
			t.Errorf("%q is missing in %q", want, a)
		}
	}
	if !slices.Equal(a[len(a)-2:], []string{"/n", "eth0"}) {
		t.Errorf("%q", a)
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
	i, err := n.p.Start(ctx, Config{Container: b.ID, NetNS: fmt.Sprintf("/proc/%d/ns/net", b.PID), UserNS: fmt.Sprintf("/proc/%d/ns/user", b.PID),
		Dir: t.TempDir(), Interface: "eth0", MTU: 1500, NoSandbox: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	for _, p := range ports {
		specs, err := slirp.ParsePort(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := i.Publish(ctx, specs); err != nil {
			t.Fatal(err)
		}
	}
	return i.Endpoint
}

func TestConforms(t *testing.T) {
	p, err := Find()
	slirptest.Require(t, err == nil, "%v", err)
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	slirptest.Require(t, err == nil, "%v", err)
	f.Close()
	slirptest.Conformance(t, network{p}, slirp.TraitsOf("slirp4netns"))
}
