package switchd

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/dns"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/publish"
	"github.com/moss-sandbox/moss/slirp/pump"
	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/slirp/relay"
)

// service is the switch at work. mu is held by operations, which may wait for the loops; the loops never take it.
type service struct {
	cfg       Config
	host      *reactor.Loop // in the host's network namespace
	pumps     *pump.Env
	resolvers resolvers

	mu         sync.Mutex
	networks   map[string]*network   // by id
	containers map[string]*container // by id
	ending     bool
	idle       *time.Timer
}

// network is one that is served.
type network struct {
	value   slirp.Network
	gw      *gateway.Gateway
	relay   *relay.Relay
	stack   io.Closer // of a gateway without rules, else nil
	held    []holder
	members map[string]*endpoint // by container
	names   atomic.Pointer[names]
}

// container is one that has at least one endpoint.
type container struct {
	id        string
	pidfd     int // -1 if none was given
	sockets   dns.Sockets
	resolver  *dns.Server
	held      []holder
	endpoints []*endpoint
	view      view
}

// endpoint is a container on a network.
type endpoint struct {
	config slirp.EndpointConfig
	value  slirp.Endpoint
	net    *network
	port   string // the bridge's end of the veth pair
	ports  []*served
}

// served is one published listener.
type served struct {
	listener publish.Listener
	port     *publish.Port
}

// network returns the served network, made first if need be, on the wished rung if there is a wish.
func (s *service) network(value slirp.Network, wish gateway.Rules) (*network, error) {
	if n := s.networks[value.ID]; n != nil {
		switch {
		case n.carriedBy(wish):
			return n, nil
		case len(n.members) > 0:
			return nil, fmt.Errorf("network %q is carried by %s now: that can change when no container is on it", n.value.Name, n.gw.Rules)
		}
		s.drop(n)
	}
	if value.Driver != slirp.DriverBridge {
		return nil, fmt.Errorf("network %q of driver %q has nothing to attach to", value.Name, value.Driver)
	}
	if wish == "" {
		wish = s.cfg.rung()
	}
	gw, err := gateway.Make(value, wish)
	if err != nil {
		return nil, err
	}
	if gw.Sockets.Journal, err = relay.NewJournal(); err != nil {
		gw.Close()
		return nil, err
	}
	held, err := hold(gatewayFiles(gw))
	if err != nil {
		gw.Close()
		return nil, err
	}
	n, err := s.serve(gw, held)
	if err != nil {
		release(held)
		gw.Close()
		return nil, err
	}
	return n, nil
}

// serve begins to relay for a gateway, new or adopted.
func (s *service) serve(gw *gateway.Gateway, held []holder) (*network, error) {
	n := &network{value: gw.Network, gw: gw, held: held, members: map[string]*endpoint{}}
	n.names.Store(&names{})
	var err error
	if cerr := s.host.Call(func() { n.relay, err = relay.Start(gw, s.host, s.pumps, s.policy(&n.value)) }); cerr != nil {
		return nil, cerr
	}
	if err != nil {
		return nil, err
	}
	s.networks[n.value.ID] = n
	s.watchNetwork(n)
	s.spreadPolicies()
	return n, nil
}

// carriedBy tells whether the network is on the wished rung; that without a wish is any.
func (n *network) carriedBy(wish gateway.Rules) bool {
	return wish == "" || n.gw.Ready() == nil && wish == n.gw.Rules
}

// ready waits for the network's rules and, where the kernel carries none, starts a TCP/IP of our own.
func (s *service) ready(n *network) error {
	if err := n.gw.Ready(); err != nil || n.gw.Rules != gateway.RulesNone || n.stack != nil {
		return err
	}
	if s.cfg.Netstack == nil {
		return &NetstackError{n.value.Name}
	}
	if n.value.Option(slirp.OptHostLoopback) {
		return fmt.Errorf("network %q: option %s needs nf_tables, which this kernel lacks", n.value.Name, slirp.OptHostLoopback)
	}
	stack, err := s.cfg.Netstack(n.gw, n.relay, s.host.Call)
	if err == nil {
		n.stack = stack
	}
	return err
}

// policy says what a network's containers may reach: not the other networks', wherever packets to these would end.
func (s *service) policy(n *slirp.Network) *slirp.Policy {
	p := &slirp.Policy{Loopback: n.Option(slirp.OptHostLoopback), LinkLocal: n.Option(slirp.OptLinkLocal), Internal: n.Internal}
	for _, sub := range n.Subnets {
		p.Gateways = append(p.Gateways, sub.Gateway)
		p.Foreign = append(p.Foreign, sub.Subnet)
	}
	for _, other := range s.networks {
		for _, sub := range other.value.Subnets {
			p.Foreign = append(p.Foreign, sub.Subnet)
		}
	}
	return p
}

func (s *service) spreadPolicies() {
	for _, n := range s.networks {
		n.relay.SetPolicy(s.policy(&n.value))
	}
}

// drop ends a network without members: with its holder the namespace goes.
func (s *service) drop(n *network) {
	delete(s.networks, n.value.ID)
	s.host.Call(n.relay.Stop) //nolint:errcheck // a closed loop relays nothing
	if n.stack != nil {
		n.stack.Close() //nolint:errcheck // its connections end
	}
	n.gw.Close()
	release(n.held)
	s.spreadPolicies()
}

// allocate chooses the endpoint's addresses.
func (n *network) allocate(c *slirp.EndpointConfig) (v4, v6 netip.Prefix, err error) {
	taken := map[netip.Addr]bool{}
	for _, e := range n.members {
		taken[e.value.IPv4.Addr()], taken[e.value.IPv6.Addr()] = true, true
	}
	used := func(a netip.Addr) bool { return taken[a] }
	pick := func(sub slirp.Subnet, ok bool, want netip.Addr) (netip.Prefix, error) {
		if !ok {
			if want.IsValid() {
				return netip.Prefix{}, fmt.Errorf("network %q has no subnet for address %s", n.value.Name, want)
			}
			return netip.Prefix{}, nil
		}
		a, err := sub.Allocate(want, used)
		return netip.PrefixFrom(a, sub.Subnet.Bits()), err
	}
	sub4, ok4 := n.value.IPv4()
	sub6, ok6 := n.value.IPv6Subnet()
	v4, err4 := pick(sub4, ok4, c.IPv4)
	v6, err6 := pick(sub6, ok6, c.IPv6)
	return v4, v6, errors.Join(err4, err6)
}

// reap ends what nobody uses and arms the end of the switch itself. Must hold mu.
func (s *service) reap() {
	if s.idle != nil {
		s.idle.Stop()
		s.idle = nil
	}
	for _, n := range s.networks {
		if len(n.members) == 0 {
			s.idle = time.AfterFunc(s.cfg.linger(), s.reapIdle)
			return
		}
	}
	if len(s.containers) == 0 {
		s.idle = time.AfterFunc(s.cfg.linger(), s.reapIdle)
	}
}

func (s *service) reapIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.networks {
		if len(n.members) == 0 {
			s.drop(n)
		}
	}
	s.save() //nolint:errcheck // a successor would find a dead holder and drop the network, too
	if len(s.containers) == 0 {
		s.end()
	}
}

// end makes Main return. Must hold mu.
func (s *service) end() {
	if !s.ending {
		s.ending = true
		s.host.Close()
	}
}
