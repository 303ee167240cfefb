package switchd

import (
	"net/netip"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/userns/sys"
)

// probe makes a gateway and throws it away. Must hold mu.
func (s *service) probe() *Ability {
	a := &Ability{Ping: canPing(), IPv6: OutsideIPv6()}
	n := slirp.Network{Name: "probe", ID: "probe", Driver: slirp.DriverBridge}
	if err := n.Complete(nil); err != nil {
		a.Cause = err.Error()
		return a
	}
	gw, err := gateway.Make(n, s.cfg.rung())
	if err != nil {
		a.Cause = err.Error()
		return a
	}
	defer gw.Close()
	if err := gw.Ready(); err != nil {
		a.Cause = err.Error()
		return a
	}
	a.Rung, a.Cause = string(gw.Rules), gw.Lacking
	return a
}

func canPing() bool {
	fd, err := sys.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, syscall.IPPROTO_ICMP)
	if err != nil {
		return false
	}
	syscall.Close(fd)
	return true
}

// OutsideIPv6 tells whether the calling thread's network namespace has a way out for IPv6.
func OutsideIPv6() bool {
	return hasRoute(netip.MustParseAddrPort("[2001:db8::1]:9")) // RFC 3849: documentation
}

// hasRoute asks the routing table: a UDP socket is connected, nothing is sent.
func hasRoute(to netip.AddrPort) bool {
	fd, err := sys.Socket(sys.Family(to.Addr()), syscall.SOCK_DGRAM, 0)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	return sys.Connect(fd, to) == nil
}
