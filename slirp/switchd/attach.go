package switchd

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/dns"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/publish"
	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// undo is a stack of what takes back a half-done operation.
type undo []func()

func (u *undo) add(f func()) { *u = append(*u, f) }
func (u undo) run() {
	for _, f := range slices.Backward(u) {
		f()
	}
}

// attach puts a container on a network. It owns the descriptors. Must hold mu.
func (s *service) attach(value slirp.Network, c slirp.EndpointConfig, netns, pidfd int) (*slirp.Endpoint, error) {
	defer closeAll([]int{netns})
	if len(c.Container) < 12 || netns < 0 {
		closeAll([]int{pidfd})
		return nil, errors.New("internal error: attach without container id or network namespace")
	}
	n, err := s.network(value, gateway.Rules(c.Rung))
	if err != nil {
		closeAll([]int{pidfd})
		return nil, err
	}
	if e := n.members[c.Container]; e != nil {
		closeAll([]int{pidfd})
		return &e.value, nil
	}
	var back undo
	e, err := s.connect(n, c, netns, pidfd, &back)
	rules := s.ready(n)
	if err = errors.Join(err, rules); err == nil {
		err = errors.Join(e.returning(e.value.Ports), s.save())
	}
	if err != nil {
		back.run()
		if rules != nil {
			s.drop(n)
		}
		if errors.Is(err, syscall.EPERM) && len(s.containers) == 0 { // the container's namespace is no child of ours: the user has a new one
			s.end()
			return nil, fmt.Errorf("%w: %w", ErrGone, err)
		}
		s.reap()
		return nil, err
	}
	s.reap()
	return &e.value, nil
}

func (s *service) connect(n *network, c slirp.EndpointConfig, netns, pidfd int, back *undo) (*endpoint, error) {
	box := s.container(c.Container, pidfd, back)
	v4, v6, err := n.allocate(&c)
	if err != nil {
		return nil, err
	}
	e := &endpoint{config: c, net: n, port: portName(c.Container), value: endpointValue(n, &c, v4, v6)}
	if err := s.open(e, c.Ports, back); err != nil {
		return nil, err
	}
	if err := s.wire(e, box, netns, back); err != nil {
		return nil, fmt.Errorf("attaching container %.12s to network %q: %w", c.Container, n.value.Name, err)
	}
	n.members[c.Container] = e
	box.endpoints = append(box.endpoints, e)
	back.add(func() { s.forget(box, e) })
	if err := s.resolve(box); err != nil {
		return nil, err
	}
	n.rename()
	box.view.store(box)
	for _, p := range e.ports {
		if err := s.serveListener(e, p); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// wire makes the link and has everything that must outlive the switch held, both at once where they do not need each other.
func (s *service) wire(e *endpoint, box *container, netns int, back *undo) error {
	link := e.link(netns)
	prepared, held := make(chan error, 1), make(chan error, 1)
	go func() { prepared <- s.prepare(box, netns) }()
	err := e.net.gw.Pair(link)
	if err == nil {
		back.add(func() { e.net.gw.Disconnect(e.port) })
	}
	if err := errors.Join(<-prepared, err); err != nil {
		return err
	}
	files := box.files(e)
	go func() { held <- s.rehold(box, files) }()
	err = e.net.gw.Configure(link)
	return errors.Join(<-held, err)
}

// prepare opens the container's resolver sockets, once.
func (s *service) prepare(box *container, netns int) error {
	return gateway.Prepare(netns, func() (err error) {
		if box.sockets.UDP < 0 {
			box.sockets, err = dns.Listen()
		}
		return err
	})
}

// container finds or begins the record of a container; its pidfd tells when it ends.
func (s *service) container(id string, pidfd int, back *undo) *container {
	if box := s.containers[id]; box != nil {
		closeAll([]int{pidfd})
		return box
	}
	box := &container{id: id, pidfd: pidfd, sockets: dns.Sockets{UDP: -1, TCP: -1}}
	box.view.service = s
	s.containers[id] = box
	s.watch(box)
	back.add(func() { s.bury(box) })
	return box
}

// watch makes the end of a container the end of its attachments.
func (s *service) watch(box *container) {
	if box.pidfd < 0 {
		return
	}
	s.host.Call(func() { //nolint:errcheck // a closed loop watches nothing
		s.host.Add(box.pidfd, sys.EpollIn, reactor.Func(func(uint32) { //nolint:errcheck // a pidfd can be watched since Linux 5.3
			s.host.Remove(box.pidfd)
			go s.ended(box)
		}))
	})
}

func (s *service) ended(box *container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.containers[box.id] == box {
		s.detachAll(box)
	}
}

func portName(container string) string {
	var b [2]byte
	rand.Read(b[:]) //nolint:errcheck // crypto/rand never fails (Go 1.24)
	return "v" + container[:8] + hex.EncodeToString(b[:])
}

func endpointValue(n *network, c *slirp.EndpointConfig, v4, v6 netip.Prefix) slirp.Endpoint {
	e := slirp.Endpoint{ID: slirp.NewID(), Container: c.Container, Network: n.value.ID, Interface: c.Interface, IPv4: v4, IPv6: v6, MAC: c.MAC, MTU: n.value.MTU()}
	if e.MAC.IsZero() {
		e.MAC = slirp.MACOf(v4.Addr())
	}
	if sub, ok := n.value.IPv4(); ok {
		e.Gateway = sub.Gateway
	}
	if sub, ok := n.value.IPv6Subnet(); ok {
		e.Gateway6 = sub.Gateway
	}
	return e
}

// link is what the gateway is to make.
func (e *endpoint) link(netns int) *gateway.Link {
	l := &gateway.Link{Port: e.port, Namespace: netns, Interface: e.value.Interface, MAC: e.value.MAC, MTU: e.value.MTU}
	for _, p := range []netip.Prefix{e.value.IPv4, e.value.IPv6} {
		if p.IsValid() {
			l.Addrs = append(l.Addrs, p)
		}
	}
	l.Gateways = e.gateways()
	return l
}

// open binds published ports; nobody listens to them yet.
func (s *service) open(e *endpoint, specs []slirp.PortSpec, back *undo) error {
	for _, spec := range specs {
		list, err := publish.Open(spec)
		if err != nil {
			return s.owned(err)
		}
		for _, l := range list {
			p := &served{listener: l}
			e.ports = append(e.ports, p)
			e.value.Ports = append(e.value.Ports, l.Published)
			back.add(func() { s.closePort(e, p) })
		}
	}
	return nil
}

// owned adds the container that holds a port, if it is one of ours.
func (s *service) owned(err error) error {
	var p *slirp.PortError
	if !errors.As(err, &p) || p.Errno != syscall.EADDRINUSE {
		return err
	}
	for _, box := range s.containers {
		for _, e := range box.endpoints {
			for _, have := range e.value.Ports {
				if have.Host.Port() == p.Host.Port() && have.Port.Proto == p.Proto {
					p.Owner = e.config.Name
				}
			}
		}
	}
	return err
}

func (s *service) serveListener(e *endpoint, p *served) (err error) {
	p.port, err = publish.Serve(e.net.gw, s.pumps, p.listener, publish.Target{IPv4: e.value.IPv4.Addr(), IPv6: e.value.IPv6.Addr()})
	return err
}

// returning has the answers of published ports come back to the switch.
func (e *endpoint) returning(ports []slirp.Published) error {
	for _, p := range ports {
		for _, a := range []netip.Prefix{e.value.IPv4, e.value.IPv6} {
			if err := e.net.gw.Return(a.Addr(), p.Port, gateway.Present); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *service) closePort(e *endpoint, p *served) {
	if p.port != nil {
		p.port.Close()
	} else {
		syscall.Close(p.listener.FD)
	}
	e.ports = slices.DeleteFunc(e.ports, func(x *served) bool { return x == p })
	e.value.Ports = slices.DeleteFunc(e.value.Ports, func(x slirp.Published) bool { return x == p.listener.Published })
	if !slices.ContainsFunc(e.value.Ports, func(x slirp.Published) bool { return x.Port == p.listener.Port }) {
		for _, a := range []netip.Prefix{e.value.IPv4, e.value.IPv6} {
			e.net.gw.Return(a.Addr(), p.listener.Port, gateway.Absent) //nolint:errcheck // a rule for nobody does nothing
		}
	}
}

// resolve begins to answer a container's questions.
func (s *service) resolve(box *container) error {
	if box.resolver != nil {
		return nil
	}
	var err error
	cerr := s.host.Call(func() { box.resolver, err = dns.Serve(s.host, s.pumps, box.sockets, &box.view) })
	return errors.Join(cerr, err)
}

// files lists everything of a container that must outlive the switch, with the ports of an endpoint that is being made.
func (box *container) files(more ...*endpoint) []named {
	files := []named{{"dns-udp", box.sockets.UDP}, {"dns-tcp", box.sockets.TCP}}
	if box.pidfd >= 0 {
		files = append(files, named{"pidfd", box.pidfd})
	}
	for _, e := range append(more, box.endpoints...) {
		for _, p := range e.ports {
			files = append(files, named{portKey(p.listener.Published), p.listener.FD})
		}
	}
	return files
}

// rehold replaces a container's holders by one that keeps files.
func (s *service) rehold(box *container, files []named) error {
	held, err := hold(files)
	if err != nil {
		return err
	}
	release(box.held)
	box.held = held
	s.watchContainer(box)
	return nil
}

func portKey(p slirp.Published) string { return string(p.Port.Proto) + " " + p.Host.String() }
