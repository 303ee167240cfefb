package bench

import (
	"fmt"
	"slices"

	"github.com/moss-sandbox/moss/slirp/slirptest"
)

// figure is one column of the measurements.
type figure struct {
	name  string
	get   func(slirptest.Figures) float64
	small bool // less is better
}

func up(f slirptest.Figures) float64      { return f.Up1 }
func down(f slirptest.Figures) float64    { return f.Down1 }
func latency(f slirptest.Figures) float64 { return float64(f.Connect.Nanoseconds()) / 1e3 }
func pages(f slirptest.Figures) float64   { return f.Pages }
func udp(f slirptest.Figures) float64     { return f.UDP }

var (
	tcpUp    = figure{"TCP up", up, false}
	tcpDown  = figure{"TCP down", down, false}
	dialTime = figure{"connect", latency, true}
	http     = figure{"HTTP", pages, false}
	datagram = figure{"UDP", udp, false}
)

// limit is a promise: ours compared with another way in the same run.
type limit struct {
	figure
	ours, other string
	ratio       float64
	best        bool // compared with the other's best round, not its median
}

const (
	between, out, large, in = "relay mtu 1500 between", "relay mtu 1500 out", "relay mtu 65520 out", "relay mtu 1500 in"
	loop                    = "loopback"
	slirpOut, slirpIn       = "slirp4netns out", "slirp4netns in"
	pastaOut, pastaIn       = "pasta out", "pasta in"
)

// limits are those of the issue. Those of RootlessKit's port driver are not measured here: its module is not linked.
func limits() []limit {
	return []limit{
		{tcpUp, between, loop, 0.9, false}, {tcpDown, between, loop, 0.9, false}, {dialTime, between, loop, 1.3, false},
		{tcpUp, out, loop, 0.45, false}, {tcpUp, out, slirpOut, 2.5, false}, {tcpUp, out, pastaOut, 1, true},
		{tcpDown, out, loop, 0.45, false}, {tcpDown, out, slirpOut, 1.5, false}, {tcpDown, out, pastaOut, 0.8, false},
		{tcpUp, out, large, 0.85, false}, {tcpDown, out, large, 0.85, false},
		{dialTime, out, loop, 3.5, false}, {dialTime, out, slirpOut, 1.6, false}, {dialTime, out, pastaOut, 1.6, false},
		{http, out, loop, 0.35, false}, {http, out, pastaOut, 0.85, false},
		{datagram, out, loop, 0.35, false}, {datagram, out, slirpOut, 0.8, false},
		{tcpUp, in, loop, 0.4, false}, {tcpUp, in, pastaIn, 0.85, false}, {tcpUp, in, slirpIn, 1.3, false},
		{tcpDown, in, loop, 0.5, false}, {tcpDown, in, pastaIn, 0.85, false}, {tcpDown, in, slirpIn, 2.5, false},
		{dialTime, in, loop, 3, false}, {http, in, loop, 0.35, false},
	}
}

// verdict is one line: the medians, their ratio and what was promised. It is empty where one of the two was not measured.
func (l limit) verdict(rounds map[string][]slirptest.Figures) string {
	ours, other := l.sorted(rounds[l.ours]), l.sorted(rounds[l.other])
	if len(ours) == 0 || len(other) == 0 {
		return ""
	}
	against, how := other[len(other)/2], "median"
	if l.best {
		against, how = other[len(other)-1], "best"
	}
	ratio := ours[len(ours)/2] / against
	word := "holds"
	switch missing := l.ratio / ratio; {
	case l.small && 1/missing > 1.1, !l.small && missing > 1.1:
		word = "BELOW"
	case l.small && ratio > l.ratio, !l.small && ratio < l.ratio:
		word = "within 10 %"
	}
	sign := "at least"
	if l.small {
		sign = "at most"
	}
	return fmt.Sprintf("%-12s %-9s %-24s %8.4g (%.3g–%.3g)  / %-16s %8.4g %-6s = %5.2f, %s %.2f", word, l.name, l.ours, ours[len(ours)/2], ours[0], ours[len(ours)-1],
		l.other, against, how, ratio, sign, l.ratio)
}

func (f figure) sorted(rounds []slirptest.Figures) (v []float64) {
	for _, r := range rounds {
		v = append(v, f.get(r))
	}
	slices.Sort(v)
	return v
}
