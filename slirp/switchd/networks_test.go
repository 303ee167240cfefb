package switchd_test

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/slirptest"
	"github.com/moss-sandbox/moss/slirp/slirptest/lab"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

func dial(to string) error {
	c, err := net.DialTimeout("tcp", to, 20*time.Second)
	if err == nil {
		c.Close()
	}
	return err
}

func wantDial(t *testing.T, b *slirptest.Box, to string, want error) {
	t.Helper()
	b.Do(t, func() error {
		if err := dial(to); !errors.Is(err, want) {
			t.Errorf("connecting to %s: %v, want %v", to, err, want)
		}
		return nil
	})
}

func TestNetworksAreIsolated(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	other := l.Another(t, slirp.Network{})
	a, b := slirptest.NewBox(t), slirptest.NewBox(t)
	l.Attach(t, a, "alpha")
	eb, err := l.AttachTo(t, other, b, slirp.EndpointConfig{Name: "beta", Interface: "eth0"})
	if err != nil {
		t.Fatal(err)
	}
	greeter(t, b, 80, "secret")
	wantDial(t, a, eb.IPv4.Addr().String()+":80", syscall.ENETUNREACH)
	wantDial(t, a, eb.Gateway.String()+":80", syscall.ENETUNREACH)
}

func TestSecondNetwork(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	other := l.Another(t, slirp.Network{})
	a, b := slirptest.NewBox(t), slirptest.NewBox(t)
	l.Attach(t, a, "alpha")
	ea, err := l.AttachTo(t, other, a, slirp.EndpointConfig{Name: "alpha", Interface: "eth1", NoDefault: true})
	if err != nil {
		t.Fatal(err)
	}
	eb, err := l.AttachTo(t, other, b, slirp.EndpointConfig{Name: "beta", Interface: "eth0"})
	if err != nil {
		t.Fatal(err)
	}
	greeter(t, b, 80, "hi")
	a.Do(t, func() error { wantGreeting(t, eb.IPv4.Addr().String()+":80", "hi"); return nil })
	a.Do(t, func() error { return dial(slirptest.WorldAddr + ":7") })
	c := l.Client(t)
	defer c.Close()
	if err := c.Detach(a.ID, other.ID); err != nil {
		t.Fatal(err)
	}
	a.Do(t, func() error {
		if _, err := net.InterfaceByName(ea.Interface); err == nil {
			t.Errorf("%s is there after disconnect", ea.Interface)
		}
		return dial(slirptest.WorldAddr + ":7")
	})
}

func TestInternalNetworkHasNoWayOut(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	n := l.Another(t, slirp.Network{Internal: true})
	b := slirptest.NewBox(t)
	if _, err := l.AttachTo(t, n, b, slirp.EndpointConfig{Name: "in", Interface: "eth0"}); err != nil {
		t.Fatal(err)
	}
	wantDial(t, b, slirptest.WorldAddr+":7", syscall.ENETUNREACH)
}

func TestOptionsOpenWhatTheyName(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	n := l.Another(t, slirp.Network{Options: map[string]string{slirp.OptHostLoopback: "true", slirp.OptLinkLocal: "true"}})
	open, closed := slirptest.NewBox(t), slirptest.NewBox(t)
	e, err := l.AttachTo(t, n, open, slirp.EndpointConfig{Name: "open", Interface: "eth0"})
	if err != nil {
		t.Fatal(err)
	}
	ec := l.Attach(t, closed, "closed")
	host, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	_, port, _ := strings.Cut(host.Addr().String(), ":")
	wantDial(t, open, e.Gateway.String()+":"+port, nil)
	wantDial(t, open, slirptest.Metadata+":7", nil)
	wantDial(t, closed, ec.Gateway.String()+":"+port, syscall.ECONNREFUSED)
	wantDial(t, closed, slirptest.Metadata+":7", syscall.ENETUNREACH)
}

func TestAttachAgainIsTheSame(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	b := slirptest.NewBox(t)
	first := l.Attach(t, b, "one", "80")
	if again := l.Attach(t, b, "one", "80"); again.ID != first.ID || !slices.Equal(again.Ports, first.Ports) {
		t.Errorf("attached again: %+v, first %+v", again, first)
	}
}

func TestAddresses(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	a, b := slirptest.NewBox(t), slirptest.NewBox(t)
	want := netip.MustParseAddr("172.17.0.99")
	e, err := l.AttachTo(t, l.Network, a, slirp.EndpointConfig{Interface: "eth0", IPv4: want})
	if err != nil || e.IPv4.Addr() != want || e.MAC.String() != "02:42:ac:11:00:63" {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := l.AttachTo(t, l.Network, b, slirp.EndpointConfig{Interface: "eth0", IPv4: want}); !errors.Is(err, slirp.ErrAddressUse) {
		t.Errorf("an address in use: %v", err)
	}
	if e := l.Attach(t, b, "b"); e.IPv4.Addr() != netip.MustParseAddr("172.17.0.2") {
		t.Errorf("first free address is %s", e.IPv4)
	}
}

func TestProbe(t *testing.T) {
	for _, rung := range []string{"", "relay-conntrack", "netstack"} {
		l := lab.New(t, switchd.Config{Rung: rung})
		c := l.Client(t)
		defer c.Close()
		a, err := c.Probe()
		if want := cmp.Or(rung, "relay"); err != nil || a.Rung != want || !a.IPv6 || !a.Ping || a.Cause != "" {
			t.Errorf("%q: %+v, %v", rung, a, err)
		}
	}
}

// TestNetstackIsMissing says clearly that the hot program cannot stand on the last rung.
func TestNetstackIsMissing(t *testing.T) {
	l := lab.New(t, switchd.Config{Rung: "netstack"})
	b := slirptest.NewBox(t)
	_, err := l.AttachTo(t, l.Network, b, slirp.EndpointConfig{Interface: "eth0"})
	var missing *switchd.NetstackError
	if !errors.As(err, &missing) || len(missing.Hints()) == 0 {
		t.Errorf("%v", err)
	}
}
