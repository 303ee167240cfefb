package slirp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Version of the network files and of the values in the switch's messages.
const Version = 1

// The drivers, as Docker names them.
const (
	DriverBridge = "bridge"
	DriverHost   = "host"
	DriverNull   = "null"
)

// The built-in networks.
const (
	NameBridge = "bridge"
	NameHost   = "host"
	NameNone   = "none"
)

// Options of a network that moss acts upon; all others are kept and shown only.
const (
	OptMTU          = "com.docker.network.driver.mtu"
	OptShortMTU     = "mtu"
	OptHostLoopback = "host-loopback" // the gateway's address leads to the host's own loopback
	OptLinkLocal    = "link-local"    // 169.254.0.0/16 and fe80::/10 of the host can be reached
)

// Errors a caller can tell apart.
var (
	ErrNotFound   = errors.New("network not found")
	ErrExists     = errors.New("network already exists")
	ErrBuiltIn    = errors.New("operation is not permitted on a built-in network")
	ErrNoAddress  = errors.New("no free address")
	ErrAddressUse = errors.New("address already in use")
)

// Subnet is one range of a network: IPv4 first, IPv6 second.
type Subnet struct {
	Subnet  netip.Prefix `json:"subnet"`
	Gateway netip.Addr   `json:"gateway"`
	Range   netip.Prefix `json:"range,omitzero"` // addresses are given out from here; the zero value is the whole subnet
}

// Network is what containers attach to. The zero value of an optional field is Docker's default.
type Network struct {
	Version  int               `json:"version"`
	Name     string            `json:"name"`
	ID       string            `json:"id"` // 64 hex digits
	Created  time.Time         `json:"created"`
	Driver   string            `json:"driver"`
	Internal bool              `json:"internal,omitempty"`
	IPv6     bool              `json:"ipv6,omitempty"`
	Subnets  []Subnet          `json:"subnets,omitempty"`
	Options  map[string]string `json:"options,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// BuiltIn tells whether name is one of the three networks that always exist.
func BuiltIn(name string) bool { return name == NameBridge || name == NameHost || name == NameNone }

// BuiltInID is a built-in network's id: the same for an account on a machine for ever, different between accounts.
func BuiltInID(account, name string) string {
	sum := sha256.Sum256([]byte("moss network\x00" + account + "\x00" + name))
	return hex.EncodeToString(sum[:])
}

// NewID returns a random id.
func NewID() string {
	var b [32]byte
	rand.Read(b[:]) //nolint:errcheck // crypto/rand never fails (Go 1.24)
	return hex.EncodeToString(b[:])
}

// IPv4 returns the network's IPv4 range; ok is false when there is none.
func (n *Network) IPv4() (Subnet, bool) { return n.family(netip.Addr.Is4) }

// IPv6Subnet returns the network's IPv6 range; ok is false when there is none.
func (n *Network) IPv6Subnet() (Subnet, bool) { return n.family(netip.Addr.Is6) }

func (n *Network) family(is func(netip.Addr) bool) (Subnet, bool) {
	for _, s := range n.Subnets {
		if is(s.Subnet.Addr()) {
			return s, true
		}
	}
	return Subnet{}, false
}

// MTU returns the links' MTU in bytes, 1500 unless an option says otherwise.
func (n *Network) MTU() int {
	for _, key := range []string{OptMTU, OptShortMTU} {
		if v, err := strconv.Atoi(n.Options[key]); err == nil && v >= 68 && v <= 65535 {
			return v
		}
	}
	return 1500
}

// Option tells whether a yes-or-no option is on.
func (n *Network) Option(key string) bool {
	v, ok := n.Options[key]
	if !ok {
		return false
	}
	on, err := strconv.ParseBool(v)
	return err == nil && on || v == ""
}

// Named tells whether containers find each other by name here: on user-defined networks, as in Docker.
func (n *Network) Named() bool { return n.Driver == DriverBridge && n.Name != NameBridge }

// Validate checks a network that a user has asked for.
func (n *Network) Validate() error {
	if err := validName(n.Name); err != nil {
		return err
	}
	for _, key := range []string{OptMTU, OptShortMTU} {
		if v, ok := n.Options[key]; ok {
			if m, err := strconv.Atoi(v); err != nil || m < 68 || m > 65535 {
				return fmt.Errorf("invalid MTU %q: a number from 68 to 65535 is needed", v)
			}
		}
	}
	for _, s := range n.Subnets {
		if err := s.validate(); err != nil {
			return err
		}
	}
	return nil
}

func validName(name string) error {
	ok := name != "" && !strings.ContainsAny(name[:1], "_.-")
	for _, c := range name {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.-", c))
	}
	if !ok {
		return fmt.Errorf("invalid network name %q: only [a-zA-Z0-9][a-zA-Z0-9_.-]* are allowed", name)
	}
	return nil
}

func (s Subnet) validate() error {
	bits := s.Subnet.Addr().BitLen() - s.Subnet.Bits()
	switch {
	case !s.Subnet.IsValid() || s.Subnet.Addr().Is4In6():
		return errors.New("invalid subnet")
	case s.Subnet != s.Subnet.Masked():
		return fmt.Errorf("invalid subnet %s: it should be %s", s.Subnet, s.Subnet.Masked())
	case bits < 2:
		return fmt.Errorf("invalid subnet %s: too small for a gateway and a container", s.Subnet)
	case !outsideWorld(s.Subnet.Addr()):
		return fmt.Errorf("invalid subnet %s: not an address range for hosts", s.Subnet)
	case s.Gateway.IsValid() && !s.Subnet.Contains(s.Gateway):
		return fmt.Errorf("invalid gateway address %s: not in subnet %s", s.Gateway, s.Subnet)
	case s.Range.IsValid() && (!s.Subnet.Contains(s.Range.Addr()) || s.Range.Bits() < s.Subnet.Bits()):
		return fmt.Errorf("invalid IP range %s: not in subnet %s", s.Range, s.Subnet)
	}
	return nil
}
