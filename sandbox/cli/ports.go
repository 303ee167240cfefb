package cli

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/slirp"
)

// Ports is the PORTS column: ports that keep their number first, neighbours as a range, then those that change it.
func Ports(c *sandbox.Snapshot) string {
	if c.State.Status != sandbox.Running && c.State.Status != sandbox.Paused {
		return ""
	}
	return portColumn(exposedPorts(c), engine.Published(c))
}

// exposedPorts are those that the image or the user names.
func exposedPorts(c *sandbox.Snapshot) (out []slirp.Port) {
	for p := range c.Spec.Config.ExposedPorts {
		if l, err := slirp.ParseExpose(p); err == nil {
			out = append(out, l...)
		}
	}
	return out
}

// portRange is a run of ports of one address and transport.
type portRange struct {
	address     string // empty: exposed only
	proto       slirp.Proto
	first, last uint16
}

func (r portRange) String() string {
	n := strconv.Itoa(int(r.first))
	if r.last != r.first {
		n += "-" + strconv.Itoa(int(r.last))
	}
	if r.address != "" {
		n = hostPort(r.address, n) + "->" + n
	}
	return n + "/" + string(r.proto)
}

// hostPort is net.JoinHostPort for a port that may be a range.
func hostPort(host, port string) string { return net.JoinHostPort(host, port) }

// portColumn writes ports as Docker does.
func portColumn(exposed []slirp.Port, published []slirp.Published) string {
	var same []portRange
	var moved []string
	slices.SortFunc(published, func(a, b slirp.Published) int {
		return cmp.Or(cmp.Compare(a.Port.Number, b.Port.Number), a.Host.Addr().Compare(b.Host.Addr()), cmp.Compare(a.Host.Port(), b.Host.Port()))
	})
	for _, p := range published {
		if p.Host.Port() != p.Port.Number {
			moved = append(moved, p.String())
			continue
		}
		same = append(same, portRange{p.Host.Addr().String(), p.Port.Proto, p.Port.Number, p.Port.Number})
	}
	for _, p := range exposed {
		if !slices.ContainsFunc(published, func(o slirp.Published) bool { return o.Port == p }) {
			same = append(same, portRange{"", p.Proto, p.Number, p.Number})
		}
	}
	var out []string
	for _, r := range joined(same) {
		out = append(out, r.String())
	}
	return strings.Join(append(out, moved...), ", ")
}

// joined makes ranges of neighbours.
func joined(list []portRange) (out []portRange) {
	slices.SortStableFunc(list, func(a, b portRange) int {
		return cmp.Or(cmp.Compare(a.address, b.address), cmp.Compare(a.proto, b.proto), cmp.Compare(a.first, b.first))
	})
	for _, r := range list {
		if n := len(out); n > 0 && out[n-1].address == r.address && out[n-1].proto == r.proto && out[n-1].last+1 == r.first {
			out[n-1].last = r.last
			continue
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b portRange) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.address, b.address))
	})
	return out
}
