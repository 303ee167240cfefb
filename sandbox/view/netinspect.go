package view

import (
	"time"

	"github.com/moby/moby/api/types/network"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/slirp"
)

// NetworkInspect is the answer of network inspect in the order of keys that Docker prints; the API's type has another one.
type NetworkInspect struct {
	Name       string
	ID         string `json:"Id"`
	Created    time.Time
	Scope      string
	Driver     string
	EnableIPv4 bool
	EnableIPv6 bool
	IPAM       network.IPAM
	Internal   bool
	Attachable bool
	Ingress    bool
	ConfigFrom network.ConfigReference
	ConfigOnly bool
	Containers map[string]network.EndpointResource
	Options    map[string]string
	Labels     map[string]string
}

// Network makes the answer of network inspect.
func Network(n *slirp.Network, members []engine.Member) *NetworkInspect {
	_, v4 := n.IPv4()
	out := &NetworkInspect{
		Name: n.Name, ID: n.ID, Created: n.Created, Scope: "local", Driver: n.Driver, EnableIPv4: v4 || n.Driver != slirp.DriverBridge, EnableIPv6: n.IPv6,
		IPAM: network.IPAM{Driver: "default", Config: []network.IPAMConfig{}}, Internal: n.Internal, Options: networkOptions(n), Labels: notNil(n.Labels),
		Containers: map[string]network.EndpointResource{},
	}
	if !slirp.BuiltIn(n.Name) {
		out.IPAM.Options = map[string]string{}
	}
	for _, s := range n.Subnets {
		out.IPAM.Config = append(out.IPAM.Config, network.IPAMConfig{Subnet: s.Subnet, IPRange: s.Range, Gateway: s.Gateway})
	}
	for _, m := range members {
		a := m.Attachment
		out.Containers[m.Container] = network.EndpointResource{
			Name: m.Name, EndpointID: a.ID, MacAddress: network.HardwareAddr(a.MAC[:]), IPv4Address: a.IPv4, IPv6Address: a.IPv6,
		}
	}
	return out
}
