package publish

import (
	"net/netip"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/pump"
	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Target is the container behind a port; IPv6 may be the zero value.
type Target struct {
	IPv4, IPv6 netip.Addr
}

// Port is a listener being served.
type Port struct {
	gw     *gateway.Gateway
	loop   *reactor.Loop
	pumps  *pump.Env
	at     Listener
	target Target
	udp    *datagrams // nil for TCP
	closed bool
}

// Serve begins to serve a listener in the gateway's loop. It may be called from any goroutine but that loop's.
func Serve(gw *gateway.Gateway, pumps *pump.Env, l Listener, t Target) (*Port, error) {
	p := &Port{gw: gw, loop: gw.Inside, pumps: pumps, at: l, target: t}
	ready := func(uint32) { p.accept() }
	if l.Port.Proto == slirp.UDP {
		p.udp = newDatagrams(p)
		ready = func(uint32) { p.udp.ready() }
	}
	var err error
	if cerr := p.loop.Call(func() { err = p.loop.Add(l.FD, sys.EpollIn, reactor.Func(ready)) }); cerr != nil {
		return nil, cerr
	}
	return p, err
}

// Close stops serving and closes the listener; connections that have been made go on. It may be called from any
// goroutine but the gateway's loop's.
func (p *Port) Close() {
	p.loop.Call(func() { //nolint:errcheck // a closed loop serves nothing
		if p.closed {
			return
		}
		p.closed = true
		p.loop.RemoveAndClose(p.at.FD)
		if p.udp != nil {
			p.udp.stop()
		}
	})
}

// Published tells what is served.
func (p *Port) Published() slirp.Published { return p.at.Published }

// destination chooses the container's address for a client, and the client's address as the container is to see it: the
// zero value where it cannot be kept.
func (p *Port) destination(client netip.AddrPort) (to, as netip.AddrPort) {
	inner, same := p.target.IPv4, client.Addr().Is4()
	if client.Addr().Is6() && p.target.IPv6.IsValid() || !inner.IsValid() {
		inner, same = p.target.IPv6, client.Addr().Is6()
	}
	to = netip.AddrPortFrom(inner, p.at.Port.Number)
	if !same || client.Addr().IsLoopback() || client.Addr().IsLinkLocalUnicast() {
		return to, netip.AddrPort{}
	}
	for _, s := range p.gw.Network.Subnets {
		if s.Subnet.Contains(client.Addr()) {
			return to, netip.AddrPort{}
		}
	}
	return to, client
}
