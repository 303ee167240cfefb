package slirp

import "net/netip"

// EndpointConfig is what a container wants of a network.
type EndpointConfig struct {
	Container string       `json:"container"`          // the container's full id
	Name      string       `json:"name,omitempty"`     // its name, for the DNS
	Aliases   []string     `json:"aliases,omitempty"`  // --network-alias
	Interface string       `json:"interface"`          // eth0, eth1, …
	IPv4      netip.Addr   `json:"ipv4,omitzero"`      // --ip
	IPv6      netip.Addr   `json:"ipv6,omitzero"`      // --ip6
	MAC       MAC          `json:"mac,omitzero"`       // --mac-address
	DNS       []netip.Addr `json:"dns,omitempty"`      // --dns; none: the host's resolvers at query time
	Ports     []PortSpec   `json:"ports,omitempty"`    // -p
	NoDefault bool         `json:"noDefault,omitzero"` // another network has the default route
	Rung      string       `json:"rung,omitempty"`     // --net-backend: how the network is to be carried; "": the best that works
}

// Endpoint is a container on a network.
type Endpoint struct {
	ID        string       `json:"id"`
	Container string       `json:"container"`
	Network   string       `json:"network"` // the network's id
	Interface string       `json:"interface"`
	IPv4      netip.Prefix `json:"ipv4,omitzero"`
	IPv6      netip.Prefix `json:"ipv6,omitzero"`
	Gateway   netip.Addr   `json:"gateway,omitzero"`
	Gateway6  netip.Addr   `json:"gateway6,omitzero"`
	MAC       MAC          `json:"mac,omitzero"`
	MTU       int          `json:"mtu"`
	Ports     []Published  `json:"ports,omitempty"`
}

// Names lists how other containers of a user-defined network call this one.
func (c *EndpointConfig) Names() []string {
	var l []string
	if c.Name != "" {
		l = append(l, c.Name)
	}
	if len(c.Container) >= 12 {
		l = append(l, c.Container[:12])
	}
	return append(l, c.Aliases...)
}
