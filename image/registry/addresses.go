package registry

import (
	"net/netip"
	"strconv"
	"strings"
)

// class says whose an address is. A registry may send us to public addresses and to its own class, never to another: a public
// one has no business with this machine, its link (169.254.169.254 hands out the keys of cloud machines) or the site's network.
type class int

const (
	public class = iota
	loopback
	linkLocal
	private
	unroutable // multicast, reserved: nothing of ours is there
)

func (k class) String() string {
	return [...]string{"public", "loopback", "link-local", "private", "unroutable"}[k]
}

// Prefixes netip has no predicate for, and those that carry an IPv4 address inside.
var (
	carrierNAT = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	thisHost   = netip.MustParsePrefix("0.0.0.0/8")     // RFC 1122; Linux delivers 0.0.0.0 to itself
	reserved   = netip.MustParsePrefix("240.0.0.0/4")
	siteLocal  = netip.MustParsePrefix("fec0::/10")    // RFC 3879
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052, IPv4 in the last 4 bytes
	sixToFour  = netip.MustParsePrefix("2002::/16")    // RFC 3056, IPv4 in bytes 2 to 5
	compatible = netip.MustParsePrefix("::/96")        // RFC 4291 2.5.5.1, IPv4 in the last 4 bytes
)

func classOf(a netip.Addr) class {
	a = a.WithZone("").Unmap()
	switch {
	case a.IsLoopback() || a.IsUnspecified() || thisHost.Contains(a):
		return loopback
	case a.IsLinkLocalUnicast():
		return linkLocal
	case a.IsPrivate() || carrierNAT.Contains(a) || siteLocal.Contains(a):
		return private
	case a.IsMulticast() || reserved.Contains(a):
		return unroutable
	}
	b := a.As16()
	switch {
	case nat64.Contains(a) || compatible.Contains(a):
		return classOf(netip.AddrFrom4([4]byte(b[12:16])))
	case sixToFour.Contains(a):
		return classOf(netip.AddrFrom4([4]byte(b[2:6])))
	}
	return public
}

// classOfName judges what can be judged without a resolver; names are public here and judged again when they are dialled.
func classOfName(name string) class {
	if a, ok := parseAddress(name); ok {
		return classOf(a)
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return loopback // RFC 6761
	}
	return public
}

// parseAddress reads an address in any spelling some resolver or proxy on the way may understand, inet_aton(3)'s included:
// 127.1, 0x7f000001, 2130706433.
func parseAddress(s string) (netip.Addr, bool) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if a, err := netip.ParseAddr(s); err == nil {
		return a.WithZone("").Unmap(), true
	}
	parts := strings.Split(strings.TrimSuffix(s, "."), ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, part := range parts {
		bits := 8
		if last := i == len(parts)-1; last {
			bits = 8 * (5 - len(parts))
		}
		n, err := strconv.ParseUint(part, 0, 64)
		if err != nil || n >= 1<<bits || strings.Contains(part, "_") {
			return netip.Addr{}, false
		}
		value = value<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}
