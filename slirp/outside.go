package slirp

import "net/netip"

// outsideWorld refuses what is never another host: connect(2) to 0.0.0.0, :: or a v4-mapped address ends at the caller's
// own loopback.
func outsideWorld(a netip.Addr) bool {
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
		return false
	}
	return a.Is6() || a.As4()[0] != 0 && a.As4() != [4]byte{255, 255, 255, 255}
}

// Policy says what the containers of one network may ask the switch to dial.
type Policy struct {
	Gateways  []netip.Addr   // this network's own
	Loopback  bool           // whether they lead to the host's loopback
	LinkLocal bool           // whether the host's link-local neighbours (and metadata services) can be reached
	Foreign   []netip.Prefix // subnets of moss's networks, this one included: nothing behind the host answers there
	Internal  bool           // nothing outside at all
}

// Outside is the check that stands before every dial made for a container: it returns where to connect to in the host's
// network namespace, or false. The packet socket of the gateway sees frames before the kernel's martian checks
// (ip_route_input), so any address can arrive here.
func (p *Policy) Outside(to netip.AddrPort) (netip.AddrPort, bool) {
	a := to.Addr()
	for _, g := range p.Gateways {
		if a != g {
			continue
		}
		if !p.Loopback {
			return netip.AddrPort{}, false
		}
		return netip.AddrPortFrom(loopbackOf(a), to.Port()), true
	}
	if p.Internal || !outsideWorld(a) || !p.LinkLocal && a.IsLinkLocalUnicast() {
		return netip.AddrPort{}, false
	}
	for _, f := range p.Foreign {
		if f.Contains(a) {
			return netip.AddrPort{}, false
		}
	}
	return to, true
}

func loopbackOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}
