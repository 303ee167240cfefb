package slirp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// defaultPools are Docker's: 172.17/16 to 172.31/16, then the twentieths of 192.168/16.
func defaultPools() []netip.Prefix {
	var l []netip.Prefix
	for i := range 15 {
		l = append(l, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(17 + i), 0, 0}), 16))
	}
	for i := range 16 {
		l = append(l, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(16 * i), 0}), 20))
	}
	return l
}

// FreeSubnet returns the first default range that overlaps nothing in use, by the host or by another network.
func FreeSubnet(used []netip.Prefix) (Subnet, error) {
	for _, p := range defaultPools() {
		if !overlaps(p, used) {
			return Subnet{Subnet: p, Gateway: p.Addr().Next()}, nil
		}
	}
	return Subnet{}, fmt.Errorf("all predefined address pools have been fully subnetted: %w", ErrNoAddress)
}

func overlaps(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if p.Overlaps(u) {
			return true
		}
	}
	return false
}

// ULA returns a network's default IPv6 range: a /64 of unique local addresses (RFC 4193) made from its id.
func ULA(id string) Subnet {
	var b [16]byte
	b[0] = 0xfd
	for i, c := range []byte(id) {
		b[1+i%7] = b[1+i%7]*31 + c
	}
	p := netip.PrefixFrom(netip.AddrFrom16(b), 64)
	return Subnet{Subnet: p, Gateway: p.Addr().Next()}
}

// Complete fills in what a user left out: subnets that the host does not use, gateways, the IPv6 range. used are the
// ranges of the host and of the other networks.
func (n *Network) Complete(used []netip.Prefix) error {
	if n.Driver != DriverBridge {
		return nil
	}
	for i := range n.Subnets {
		if s := &n.Subnets[i]; !s.Gateway.IsValid() {
			s.Gateway = s.Subnet.Masked().Addr().Next()
		}
	}
	if _, ok := n.IPv4(); !ok {
		s, err := FreeSubnet(used)
		if err != nil {
			return err
		}
		n.Subnets = append([]Subnet{s}, n.Subnets...)
	}
	if _, ok := n.IPv6Subnet(); !ok && n.IPv6 {
		n.Subnets = append(n.Subnets, ULA(n.ID))
	}
	return n.Validate()
}

// Allocate picks an address: want if it is valid, else the lowest free one of the range. taken tells which are in use.
// ErrAddressUse and ErrNoAddress can be told apart.
func (s Subnet) Allocate(want netip.Addr, taken func(netip.Addr) bool) (netip.Addr, error) {
	if want.IsValid() {
		return s.check(want, taken)
	}
	r := s.Range
	if !r.IsValid() {
		r = s.Subnet
	}
	for a := r.Masked().Addr(); r.Contains(a); a = a.Next() {
		if s.usable(a) && !taken(a) {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("giving out an address of %s: %w", r, ErrNoAddress)
}

func (s Subnet) check(want netip.Addr, taken func(netip.Addr) bool) (netip.Addr, error) {
	switch {
	case !s.Subnet.Contains(want):
		return want, fmt.Errorf("invalid address %s: it does not belong to subnet %s", want, s.Subnet)
	case !s.usable(want), taken(want):
		return want, fmt.Errorf("address %s: %w", want, ErrAddressUse)
	}
	return want, nil
}

// usable excludes the subnet's own address, its gateway and, for IPv4, its broadcast address.
func (s Subnet) usable(a netip.Addr) bool {
	return a != s.Subnet.Masked().Addr() && a != s.Gateway && (a.Is6() || s.Subnet.Contains(a.Next()))
}

// MAC is a link-layer address that prints itself as Docker does.
type MAC [6]byte

// MACOf returns Docker's address for an endpoint with this IPv4 address: 02:42 and the address.
func MACOf(a netip.Addr) MAC {
	b := a.As16()
	return MAC{0x02, 0x42, b[12], b[13], b[14], b[15]}
}

// String prints m in lower case with colons.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// IsZero tells whether m is no address.
func (m MAC) IsZero() bool { return m == MAC{} }

// MarshalText writes String's form, nothing for the zero value.
func (m MAC) MarshalText() ([]byte, error) {
	if m.IsZero() {
		return nil, nil
	}
	return []byte(m.String()), nil
}

// UnmarshalText reads six octets in hex with colons; empty text is the zero value.
func (m *MAC) UnmarshalText(text []byte) error {
	*m = MAC{}
	if len(text) == 0 {
		return nil
	}
	parts := strings.Split(string(text), ":")
	if len(parts) != 6 {
		return fmt.Errorf("invalid MAC address %q", text)
	}
	for i, p := range parts {
		if _, err := fmt.Sscanf(p, "%02x", &m[i]); err != nil || len(p) != 2 {
			return fmt.Errorf("invalid MAC address %q", text)
		}
	}
	return nil
}

// ParseMAC is UnmarshalText as a function.
func ParseMAC(s string) (m MAC, err error) { return m, m.UnmarshalText([]byte(s)) }

// HostRoutes reads the ranges that the host itself uses from the text of /proc/net/route (proc(5)); the default route
// does not count. Malformed lines are skipped.
func HostRoutes(procNetRoute string) []netip.Prefix {
	var l []netip.Prefix
	for line := range strings.Lines(procNetRoute) {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		var dst, mask uint32
		if _, err := fmt.Sscanf(f[1]+" "+f[7], "%x %x", &dst, &mask); err != nil || mask == 0 {
			continue
		}
		l = append(l, netip.PrefixFrom(littleEndian(dst), ones(mask)))
	}
	return l
}

func littleEndian(v uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

func ones(mask uint32) (n int) {
	for ; mask != 0; mask &= mask - 1 {
		n++
	}
	return n
}
