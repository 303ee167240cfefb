package bench

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/netstack"
	"github.com/moss-sandbox/moss/slirp/pasta"
	"github.com/moss-sandbox/moss/slirp/slirp4netns"
	"github.com/moss-sandbox/moss/slirp/slirptest"
	"github.com/moss-sandbox/moss/slirp/slirptest/lab"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

func TestMain(m *testing.M) {
	os.Exit(slirptest.Main(m, lab.Stages(switchd.Config{Netstack: netstack.Start})))
}

var loopback = netip.MustParseAddr("127.0.0.1")

// way is one measured path.
type way struct {
	name    string
	measure func(each time.Duration) (slirptest.Figures, error)
	rounds  []slirptest.Figures
}

func TestCompare(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv("MOSS_BENCH"))
	if err != nil {
		t.Skip("MOSS_BENCH is not set")
	}
	host, err := slirptest.NewLoad("0.0.0.0")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	ways := []*way{{name: "loopback", measure: func(each time.Duration) (slirptest.Figures, error) { return host.Measure(loopback, each) }}}
	ways = append(ways, moss(t, host, "relay", "1500")...)
	ways = append(ways, moss(t, host, "relay", "65520")...)
	ways = append(ways, moss(t, host, "netstack", "1500")...)
	ways = append(ways, programs(t, host)...)
	for range rounds {
		for _, w := range ways {
			f, err := w.measure(300 * time.Millisecond)
			if err != nil {
				t.Errorf("%s: %v", w.name, err)
				continue
			}
			w.rounds = append(w.rounds, f)
		}
	}
	all := map[string][]slirptest.Figures{}
	for _, w := range ways {
		t.Log(w.summary())
		all[w.name] = w.rounds
	}
	for _, l := range limits() {
		if line := l.verdict(all); line != "" {
			t.Log(line)
		}
	}
}

func TestVerdict(t *testing.T) {
	rounds := map[string][]slirptest.Figures{out: {{Up1: 4, Connect: 400}}, loop: {{Up1: 10, Connect: 100}}}
	for want, l := range map[string]limit{
		"holds": {tcpUp, out, loop, 0.4, false}, "within 10 %": {tcpUp, out, loop, 0.42, false}, "BELOW": {tcpUp, out, loop, 0.5, false},
	} {
		if got := l.verdict(rounds); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, l := range map[string]limit{
		"holds": {dialTime, out, loop, 4, false}, "within 10 %": {dialTime, out, loop, 3.8, false}, "BELOW": {dialTime, out, loop, 3, false},
	} {
		if got := l.verdict(rounds); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (limit{tcpUp, out, pastaOut, 1, true}).verdict(rounds); got != "" {
		t.Errorf("not measured: %q", got)
	}
}

// moss measures one rung: out to the host, between containers, and in by a published port.
func moss(t *testing.T, host *slirptest.Load, rung, mtu string) []*way {
	t.Helper()
	l := lab.New(t, switchd.Config{Rung: rung})
	n := l.Another(t, slirp.Network{Options: map[string]string{slirp.OptMTU: mtu}})
	client, server := slirptest.NewBox(t), slirptest.NewBox(t)
	if _, err := l.AttachTo(t, n, client, slirp.EndpointConfig{Name: "client", Interface: "eth0"}); err != nil {
		t.Fatal(err)
	}
	inside := load(t, server)
	port := strconv.Itoa(inside.Port())
	es, err := l.AttachTo(t, n, server, slirp.EndpointConfig{Name: "server", Interface: "eth0", Ports: lab.Specs(t, port+":"+port, port+":"+port+"/udp")})
	if err != nil {
		t.Fatal(err)
	}
	name := rung + " mtu " + mtu
	return []*way{
		{name: name + " out", measure: from(client, host, netip.MustParseAddr(slirptest.HostAddr))},
		{name: name + " between", measure: from(client, inside, es.IPv4.Addr())},
		{name: name + " in", measure: func(each time.Duration) (slirptest.Figures, error) { return inside.Measure(loopback, each) }},
	}
}

// load starts a server in a box, which may get its links later.
func load(t *testing.T, b *slirptest.Box) (s *slirptest.Load) {
	t.Helper()
	b.Do(t, func() (err error) { s, err = slirptest.NewLoad("0.0.0.0"); return err })
	if s == nil {
		t.FailNow()
	}
	t.Cleanup(s.Close)
	return s
}

func from(b *slirptest.Box, s *slirptest.Load, to netip.Addr) func(time.Duration) (slirptest.Figures, error) {
	return func(each time.Duration) (f slirptest.Figures, err error) {
		err = gateway.Within(b.NetNS, func() (err error) { f, err = s.Measure(to, each); return err })
		return f, err
	}
}

// programs measures slirp4netns and pasta where they are installed and may open /dev/net/tun.
func programs(t *testing.T, host *slirptest.Load) (ways []*way) {
	t.Helper()
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		t.Logf("without the programs: %v", err)
		return nil
	} else {
		f.Close()
	}
	if p, err := slirp4netns.Find(); err == nil {
		b := prepared(t)
		inside := load(t, b)
		i, err := p.Start(context.Background(), slirp4netns.Config{Container: b.ID, NetNS: ns(b, "net"), UserNS: ns(b, "user"), Dir: t.TempDir(), Interface: "eth0",
			MTU: 65520, HostLoopback: true, NoSandbox: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { i.Close() })
		if _, err := i.Publish(context.Background(), both(inside.Port())); err != nil {
			t.Fatal(err)
		}
		ways = append(ways, &way{name: "slirp4netns out", measure: from(b, host, i.Endpoint.Gateway)},
			&way{name: "slirp4netns in", measure: func(each time.Duration) (slirptest.Figures, error) { return inside.Measure(loopback, each) }})
	}
	if p, err := pasta.Find(); err == nil {
		b := prepared(t)
		inside := load(t, b)
		i, err := p.Start(context.Background(), pasta.Config{Container: b.ID, NetNS: ns(b, "net"), UserNS: ns(b, "user"), Dir: t.TempDir(), Interface: "eth0",
			MTU: 65520, HostLoopback: true}, both(inside.Port()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { i.Close() })
		ways = append(ways, &way{name: "pasta out", measure: from(b, host, netip.MustParseAddr(slirptest.WorldAddr))}, // the gateway, mapped to the host
			&way{name: "pasta in", measure: func(each time.Duration) (slirptest.Figures, error) { return inside.Measure(loopback, each) }})
	}
	return ways
}

func prepared(t *testing.T) *slirptest.Box {
	t.Helper()
	b := slirptest.NewBox(t)
	if err := gateway.Prepare(b.NetNS, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	return b
}

func ns(b *slirptest.Box, kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", b.PID, kind) }

// both publishes a port, TCP and UDP, on the host's loopback.
func both(port int) (l []slirp.PortSpec) {
	for _, p := range []slirp.Proto{slirp.TCP, slirp.UDP} {
		n := uint16(port)
		l = append(l, slirp.PortSpec{Port: slirp.Port{Number: n, Proto: p}, HostIP: loopback, HostFirst: n, HostLast: n})
	}
	return l
}

// summary is a row: the median of each figure and, in brackets, the smallest and the largest.
func (w *way) summary() string {
	row := fmt.Sprintf("%-26s", w.name)
	for _, c := range []struct {
		name string
		get  func(slirptest.Figures) float64
	}{
		{"up1", func(f slirptest.Figures) float64 { return f.Up1 }}, {"down1", func(f slirptest.Figures) float64 { return f.Down1 }},
		{"up4", func(f slirptest.Figures) float64 { return f.Up4 }}, {"down4", func(f slirptest.Figures) float64 { return f.Down4 }},
		{"µs", func(f slirptest.Figures) float64 { return float64(f.Connect.Microseconds()) }},
		{"http", func(f slirptest.Figures) float64 { return f.Pages }}, {"udp", func(f slirptest.Figures) float64 { return f.UDP }},
	} {
		var v []float64
		for _, f := range w.rounds {
			v = append(v, c.get(f))
		}
		slices.Sort(v)
		if len(v) > 0 {
			row += fmt.Sprintf(" %s %.4g (%.3g–%.3g)", c.name, v[len(v)/2], v[0], v[len(v)-1])
		}
	}
	return row
}
