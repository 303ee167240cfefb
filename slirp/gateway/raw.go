package gateway

import (
	"net/netip"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// sendRaw sends a whole packet through one of a pair of raw sockets (raw(7), IPPROTO_RAW: the header is included).
func sendRaw(pair [2]int, p []byte) error {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		return sys.SendTo(pair[0], p, netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[16:20])), 0))
	case len(p) >= 40 && p[0]>>4 == 6 && pair[1] >= 0:
		return sys.SendTo(pair[1], p, netip.AddrPortFrom(netip.AddrFrom16([16]byte(p[24:40])), 0))
	}
	return syscall.EINVAL
}

func prefix(a netip.Addr, bits int) netip.Prefix { return netip.PrefixFrom(a, bits) }
