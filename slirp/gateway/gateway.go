package gateway

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// ErrNoRules says that this kernel cannot carry a rung's rules; the caller goes on with the next rung.
var ErrNoRules = errors.New("the kernel lacks what the network's rules need")

// Gateway is a network's namespace as seen by the switch that serves it now.
type Gateway struct {
	Network slirp.Network
	Rules   Rules
	Lacking string // why it is not a better rung, if it is not
	Sockets Sockets
	Inside  *reactor.Loop // its thread lives in the namespace; sockets opened there belong to it

	ns    int
	rt    *netlink
	rules chan error // of Make; nil once waited for
}

// Make builds the gateway of a network in a new network namespace of the calling process's user namespace, on the best
// rung that the kernel carries, from wished on down. ErrNoRules when not even bridge and veth can be made. The rules, the
// largest part of it (8 to 16 ms inside the kernel), are still being loaded when Make returns: Ready waits for them.
func Make(n slirp.Network, wished Rules) (*Gateway, error) {
	inside, ns, err := enter(-1)
	if err != nil {
		return nil, err
	}
	g := &Gateway{Network: n, Inside: inside, ns: ns, Sockets: noSockets()}
	if err := g.build(wished); err != nil {
		g.Close()
		return nil, fmt.Errorf("making the gateway of network %q: %w", n.Name, err)
	}
	return g, nil
}

// Adopt takes over a gateway that another switch has made: only the raw sockets are new. It owns the descriptors passed.
func Adopt(n slirp.Network, rung Rules, nsfd int, held Sockets) (*Gateway, error) {
	inside, _, err := enter(nsfd)
	if err != nil {
		return nil, err
	}
	g := &Gateway{Network: n, Rules: rung, Inside: inside, ns: nsfd, Sockets: held}
	if err := g.within(g.openSockets); err != nil {
		g.Close()
		return nil, fmt.Errorf("taking over the gateway of network %q: %w", n.Name, err)
	}
	return g, nil
}

// within runs f in the namespace's thread and waits.
func (g *Gateway) within(f func() error) error {
	var inside error
	if err := g.Inside.Call(func() { inside = f() }); err != nil {
		return err
	}
	return inside
}

func (g *Gateway) build(wished Rules) error {
	if err := g.within(func() (err error) { g.setSysctls(); g.rt, err = openNetlink(syscall.NETLINK_ROUTE); return err }); err != nil {
		return err
	}
	if err := g.rt.do(g.devices(), nil); err != nil {
		return fmt.Errorf("%w: %w", ErrNoRules, err)
	}
	g.rules = make(chan error, 1)
	go func() { g.rules <- Within(g.ns, func() error { return g.loadRules(wished) }) }()
	return g.within(g.openSockets)
}

// Ready waits until the rules are loaded. Rules is valid then. It is not to be called by two goroutines at once.
func (g *Gateway) Ready() error {
	if g.rules == nil {
		return nil
	}
	err := <-g.rules
	g.rules = nil
	if err != nil {
		return fmt.Errorf("loading the rules of network %q: %w", g.Network.Name, err)
	}
	return nil
}

// setSysctls sets what netlink cannot; on a read-only /proc/sys the defaults, with what devConf sets, do.
func (g *Gateway) setSysctls() {
	for name, value := range map[string]string{
		"ipv4/ip_forward":                     "1",
		"ipv6/conf/all/forwarding":            "1",
		"ipv4/conf/all/rp_filter":             "0",
		"ipv4/conf/default/rp_filter":         "0",
		"ipv4/conf/lo/rp_filter":              "0",
		"bridge/bridge-nf-call-iptables":      "0", // br_netfilter would lose the socket that TPROXY has assigned
		"bridge/bridge-nf-call-ip6tables":     "0",
		"ipv4/conf/all/send_redirects":        "0",
		"ipv4/conf/default/send_redirects":    "0",
		"ipv4/icmp_errors_use_inbound_ifaddr": "1",
		"ipv4/tcp_congestion_control":         linkControl,
	} {
		sysctl(name, value) //nolint:errcheck // see above
	}
}

// devices is what lives as long as the namespace.
func (g *Gateway) devices() *batch {
	m := &batch{}
	m.linkUp("lo", loIndex)
	m.bridge(g.Network.MTU(), g.bridgeMAC())
	m.devConf("lo", loIndex)
	m.devConf(bridgeName, bridgeIndex)
	for _, s := range g.Network.Subnets {
		p := s.Subnet
		m.addr(bridgeName, bridgeIndex, prefix(s.Gateway, p.Bits()))
	}
	for _, f := range g.families() {
		m.everythingLocal(f)
		m.markRule(f)
		m.blackhole(f)
	}
	return m
}

func (g *Gateway) families() []int {
	if _, ok := g.Network.IPv6Subnet(); ok {
		return families[:]
	}
	return families[:1]
}

func (g *Gateway) bridgeMAC() slirp.MAC {
	sum := sha256.Sum256([]byte(g.Network.ID))
	return slirp.MAC{0x02, 0x42, sum[0], sum[1], sum[2], sum[3]}
}

// loadRules tries the rungs from wished on down. A refusal by policy is an answer, not a reason to fall.
func (g *Gateway) loadRules(wished Rules) error {
	var last error
	for _, kind := range []Rules{RulesSocket, RulesConntrack, RulesNone} {
		if kind != wished && last == nil {
			continue
		}
		g.Rules = kind
		if kind == RulesNone {
			return nil
		}
		last = g.tryRules(kind)
		if last == nil || !missing(last) {
			return last
		}
		g.Lacking = last.Error()
	}
	return last
}

func (g *Gateway) tryRules(kind Rules) error {
	nl, err := openNetlink(syscall.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer nl.close()
	return nl.do(relayRules(kind, g.Network.Option(slirp.OptHostLoopback)), nil)
}

// missing tells an ability that the kernel lacks from a refusal.
func missing(err error) bool {
	for _, e := range []syscall.Errno{syscall.ENOENT, syscall.EOPNOTSUPP, syscall.EPROTONOSUPPORT, syscall.EINVAL, syscall.ENODEV} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (g *Gateway) openSockets() (err error) {
	if g.rt == nil {
		if g.rt, err = openNetlink(syscall.NETLINK_ROUTE); err != nil {
			return err
		}
	}
	return g.Sockets.open()
}

// Namespace returns the descriptor of the gateway's network namespace, owned by the gateway.
func (g *Gateway) Namespace() int { return g.ns }

// Socket opens a socket of the gateway's namespace. It must not be called from the Inside loop.
func (g *Gateway) Socket(family, kind, proto int) (fd int, err error) {
	err = g.within(func() (err error) { fd, err = sys.Socket(family, kind, proto); return err })
	return fd, err
}

// Inject gives a whole IP packet to the namespace as if it had come from outside: a held SYN reaches the listener.
func (g *Gateway) Inject(packet []byte) error { return sendRaw(g.Sockets.Inject, packet) }

// Answer sends a whole IP packet to a container.
func (g *Gateway) Answer(packet []byte) error { return sendRaw(g.Sockets.Answer, packet) }

// Close stops serving the gateway. The namespace lives on while somebody else has descriptors of it.
func (g *Gateway) Close() {
	g.Inside.Close()
	if g.rt != nil {
		g.rt.close()
	}
	for _, fd := range g.Sockets.all() {
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
	syscall.Close(g.ns)
}

func (s *Sockets) all() []int {
	l := []int{s.Packet, s.Journal}
	for _, p := range [][2]int{s.TCP, s.UDP, s.Inject, s.Answer} {
		l = append(l, p[:]...)
	}
	return l
}

// waitUp waits until an interface passes frames: links come up asynchronously, and a SYN lost before waits a second.
func (c *netlink) waitUp(name string, limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Microsecond) {
		l, err := c.link(name)
		if err != nil || l.up {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("interface %s does not come up", name)
		}
	}
}
