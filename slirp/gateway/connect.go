package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp"
)

// Link is a container's place on the bridge.
type Link struct {
	Port      string // name of the bridge's end
	Namespace int    // the container's network namespace
	Interface string // name inside
	MAC       slirp.MAC
	MTU       int
	Addrs     []netip.Prefix
	Gateways  []netip.Addr // default routes
}

// Prepare brings up a container's loopback and sets its sysctls; then is called in its namespace. It may run beside Pair.
func Prepare(namespace int, then func() error) error {
	return Within(namespace, func() error {
		c, err := openNetlink(syscall.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer c.close()
		m := &batch{}
		m.linkUp("lo", loIndex)
		if err := c.do(m, nil); err != nil {
			return err
		}
		containerSysctls()
		return then()
	})
}

// Pair makes the veth pair: one end at the bridge, the other in the container's namespace, without addresses.
func (g *Gateway) Pair(l *Link) error {
	m := &batch{}
	m.veth(l)
	return g.rt.do(m, nil)
}

// Configure gives the container's end its addresses and routes. It returns when frames pass.
func (g *Gateway) Configure(l *Link) error {
	if err := Within(l.Namespace, l.configure); err != nil {
		return err
	}
	if err := g.rt.waitUp(l.Port, time.Second); err != nil {
		return err
	}
	return g.rt.waitUp(bridgeName, time.Second)
}

// Route gives a container default routes by an interface that it has. namespace may be a pidfd (setns(2), Linux 5.8). A
// route that is there already is no error.
func Route(namespace int, name string, gateways []netip.Addr) error {
	return Within(namespace, func() error {
		c, err := openNetlink(syscall.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer c.close()
		inside, err := c.link(name)
		if err != nil {
			return err
		}
		for _, via := range gateways {
			m := &batch{}
			m.defaultVia(inside.index, via)
			if err := c.do(m, nil); err != nil && !errors.Is(err, syscall.EEXIST) {
				return err
			}
		}
		return nil
	})
}

// Disconnect removes a container's pair; that it is gone already is no error. It takes about 10 ms in the kernel.
func (g *Gateway) Disconnect(port string) {
	g.rt.deleteLink(port) //nolint:errcheck // the pair goes with the container's namespace anyway
}

// configure runs in the container's namespace.
func (l *Link) configure() error {
	c, err := openNetlink(syscall.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer c.close()
	inside, err := c.link(l.Interface)
	if err != nil {
		return err
	}
	if err := c.do(l.setup(inside.index), nil); err != nil {
		return err
	}
	return c.waitUp(l.Interface, time.Second)
}

func (l *Link) setup(index int) *batch {
	m := &batch{}
	m.start("configuring "+l.Interface, syscall.RTM_NEWLINK, syscall.NLM_F_ACK, ifInfo(index, linkDown)).noLinkLocal()
	for _, p := range l.Addrs {
		m.addr(l.Interface, index, p)
	}
	m.linkUp(l.Interface, index)
	for _, via := range l.Gateways {
		m.defaultVia(index, via)
	}
	return m
}

// linkControl is the congestion control of both ends of a veth pair: no connection inside goes further than to the gateway
// or to a neighbour, where nothing is ever lost, and the pacing of bbr, a host's default maybe, only costs time. Outside,
// the host's choice holds. reno is the one that every kernel has and every user may choose.
const linkControl = "reno"

// containerSysctls sets what Docker sets in a container's network namespace: every port can be bound, ping works without
// a capability. Best effort: /proc/sys may be read-only here.
func containerSysctls() {
	sysctl("ipv4/tcp_congestion_control", linkControl) //nolint:errcheck // see above
	sysctl("ipv4/ip_unprivileged_port_start", "0")     //nolint:errcheck // see above
	if low, high, ok := mappedGroups(); ok {
		sysctl("ipv4/ping_group_range", fmt.Sprintf("%d %d", low, high)) //nolint:errcheck // see above
	}
}

// mappedGroups returns the widest range of groups that ping_group_range takes: it must rise in the numbers of this user
// namespace and in the host's, which are those that the kernel compares.
func mappedGroups() (low, high uint64, ok bool) {
	text, err := os.ReadFile("/proc/self/gid_map")
	if err != nil {
		return 0, 0, false
	}
	return groupRange(string(text))
}

func groupRange(gidMap string) (low, high uint64, ok bool) {
	var lowHost, highHost, widest, largest uint64
	var size uint64
	for line := range strings.Lines(gidMap) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		var v [3]uint64
		for i := range v {
			v[i], _ = strconv.ParseUint(f[i], 10, 32)
		}
		if !ok || v[1] < lowHost {
			low, lowHost = v[0], v[1]
		}
		if end := v[1] + v[2] - 1; !ok || end > highHost {
			high, highHost = v[0]+v[2]-1, end
		}
		if v[2] > size {
			widest, largest, size = v[0], v[0]+v[2]-1, v[2]
		}
		ok = true
	}
	if low > high { // the own id lies above the subordinate ones: those alone
		return widest, largest, ok
	}
	return low, high, ok
}
