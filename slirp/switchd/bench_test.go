package switchd_test

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/slirptest"
	"github.com/moss-sandbox/moss/slirp/slirptest/lab"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

// TestLoad prints throughput and latency of the relay, of published ports and of container to container beside the host's
// loopback, in interleaved rounds. MOSS_BENCH=ROUNDS; it judges nothing.
func TestLoad(t *testing.T) {
	rounds, each := benchRounds(t)
	l := lab.New(t, switchd.Config{})
	n := l.Another(t, slirp.Network{Options: map[string]string{slirp.OptHostLoopback: "true"}})
	client, server := slirptest.NewBox(t), slirptest.NewBox(t)
	e, err := l.AttachTo(t, n, client, slirp.EndpointConfig{Name: "client", Interface: "eth0"})
	if err != nil {
		t.Fatal(err)
	}
	host, err := slirptest.NewLoad("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	var inside *slirptest.Load
	server.Do(t, func() (err error) { inside, err = slirptest.NewLoad("0.0.0.0"); return err })
	defer inside.Close()
	port := strconv.Itoa(inside.Port())
	es, err := l.AttachTo(t, n, server, slirp.EndpointConfig{Name: "server", Interface: "eth0", Ports: lab.Specs(t, port+":"+port, port+":"+port+"/udp")})
	if err != nil {
		t.Fatal(err)
	}
	loop := netip.MustParseAddr("127.0.0.1")
	for range rounds {
		row(t, "loopback", func() (slirptest.Figures, error) { return host.Measure(loop, each) })
		client.Do(t, func() error {
			row(t, "egress", func() (slirptest.Figures, error) { return host.Measure(e.Gateway, each) })
			row(t, "c2c", func() (slirptest.Figures, error) { return inside.Measure(es.IPv4.Addr(), each) })
			return nil
		})
		row(t, "published", func() (slirptest.Figures, error) { return inside.Measure(loop, each) })
	}
}

func row(t *testing.T, name string, f func() (slirptest.Figures, error)) {
	t.Helper()
	r, err := f()
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	t.Logf("%-10s %s", name, r)
}

func benchRounds(t *testing.T) (rounds int, each time.Duration) {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("MOSS_BENCH"))
	if err != nil {
		t.Skip("MOSS_BENCH is not set")
	}
	return n, 300 * time.Millisecond
}

// TestAttachTime prints how long the first attachment of a network and further ones take. MOSS_BENCH=ROUNDS.
func TestAttachTime(t *testing.T) {
	rounds, _ := benchRounds(t)
	l := lab.New(t, switchd.Config{})
	c := l.Client(t)
	defer c.Close()
	var first, more []time.Duration
	for range rounds {
		n := l.Another(t, slirp.Network{})
		for i := range 5 {
			b := slirptest.NewBox(t)
			start := time.Now()
			if _, err := c.Attach(n, slirp.EndpointConfig{Container: b.ID, Interface: "eth0", Ports: lab.Specs(t, "80")}, b.NetNS, b.Pidfd); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); i == 0 {
				first = append(first, d)
			} else {
				more = append(more, d)
			}
		}
	}
	slices.Sort(first)
	slices.Sort(more)
	t.Logf("first of a network: median %v, best %v; further: median %v, best %v", first[len(first)/2], first[0], more[len(more)/2], more[0])
}
