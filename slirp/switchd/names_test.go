package switchd_test

import (
	"context"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/slirptest"
	"github.com/moss-sandbox/moss/slirp/slirptest/lab"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

// ask looks a name up by the box's resolver; nothing for a name that has no address.
func ask(t *testing.T, b *slirptest.Box, name string) (addrs []string) {
	t.Helper()
	b.Do(t, func() error {
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "udp", slirp.DNSAddress+":53") // in this thread, so in the box
		if err != nil {
			return err
		}
		r := net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		ips, err := r.LookupIP(ctx, "ip4", name+".")
		for _, ip := range ips {
			addrs = append(addrs, ip.String())
		}
		_ = err // no address is an answer
		return nil
	})
	return addrs
}

func TestNames(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	other := l.Another(t, slirp.Network{})
	bridge := l.Another(t, slirp.Network{Name: slirp.NameBridge})
	a, b, c, d := slirptest.NewBox(t), slirptest.NewBox(t), slirptest.NewBox(t), slirptest.NewBox(t)
	l.Attach(t, a, "alpha")
	eb, err := l.AttachTo(t, l.Network, b, slirp.EndpointConfig{Name: "Beta", Aliases: []string{"db"}, Interface: "eth0"})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		n   slirp.Network
		box *slirptest.Box
	}{{other, c}, {bridge, d}} {
		if _, err := l.AttachTo(t, x.n, x.box, slirp.EndpointConfig{Name: "stranger", Interface: "eth0"}); err != nil {
			t.Fatal(err)
		}
	}
	beta := []string{eb.IPv4.Addr().String()}
	world := []string{"192.0.2.53"} // what the test's DNS server says to everything
	for _, q := range []struct {
		name string
		from *slirptest.Box
		ask  string
		want []string
	}{
		{"name", a, "beta", beta},
		{"case", a, "BETA", beta},
		{"alias", a, "db", beta},
		{"short id", a, b.ID[:12], beta},
		{"with the network", a, "beta.lab", beta},
		{"own name", b, "beta", beta},
		{"another network's", c, "beta", world},
		{"no names on the default bridge", d, "stranger", world},
		{"the host", a, "host.docker.internal", []string{slirptest.HostAddr}},
		{"the world", a, "www.example.com", world},
	} {
		if got := ask(t, q.from, q.ask); !slices.Equal(got, q.want) {
			t.Errorf("%s: %s is %v, want %v", q.name, q.ask, got, q.want)
		}
	}
}

// TestResolversChange gives the host another resolver while a container runs, as a laptop gets with another network.
func TestResolversChange(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	b := slirptest.NewBox(t)
	l.Attach(t, b, "web")
	for _, c := range []struct {
		conf string
		want []string
	}{
		{"nameserver " + slirptest.WorldAddr + "\n", []string{"192.0.2.53"}},
		{"nameserver " + slirptest.HostAddr + "\nnameserver " + slirptest.WorldAddr + "\n", []string{"192.0.2.53"}}, // the first refuses
		{"", nil},
		{"nameserver " + slirptest.WorldAddr6 + "\n", []string{"192.0.2.53"}},
	} {
		if err := os.WriteFile(l.Config.ResolvConf+".new", []byte(c.conf), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(l.Config.ResolvConf+".new", l.Config.ResolvConf); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, b, "www.example.com"); !slices.Equal(got, c.want) {
			t.Errorf("with %q: %v, want %v", c.conf, got, c.want)
		}
	}
}

// TestHairpin reaches a published port from a container by the host's own address.
func TestHairpin(t *testing.T) {
	l := lab.New(t, switchd.Config{})
	a, b := slirptest.NewBox(t), slirptest.NewBox(t)
	l.Attach(t, a, "client")
	l.Attach(t, b, "web", "18080:80")
	greeter(t, b, 80, "hi")
	for _, from := range []*slirptest.Box{a, b} {
		from.Do(t, func() error { wantGreeting(t, slirptest.HostAddr+":18080", "hi"); return nil })
	}
}
