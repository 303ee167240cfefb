package view

import (
	"maps"
	"net/netip"
	"strconv"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/slirp"
)

// networkOptions are those of a network. The default bridge has the ones that Docker's daemon gives it, which say what holds for
// moss's, too; scripts read them. docker0 is its name there: no other namespace sees it.
func networkOptions(n *slirp.Network) map[string]string {
	out := map[string]string{}
	if n.Name == slirp.NameBridge {
		const prefix = "com.docker.network.bridge."
		out = map[string]string{
			prefix + "default_bridge": "true", prefix + "enable_icc": "true", prefix + "enable_ip_masquerade": "true",
			prefix + "host_binding_ipv4": "0.0.0.0", prefix + "name": "docker0", "com.docker.network.driver.mtu": "1500",
		}
	}
	maps.Copy(out, n.Options)
	return out
}

// settings are the container's networks, with the first one's values at the top as well.
func settings(c *sandbox.Snapshot) *NetworkSettings {
	out := &NetworkSettings{Ports: network.PortMap{}, Networks: map[string]*network.EndpointSettings{}}
	joined := map[string]bool{}
	for i, a := range engine.Attachments(c) {
		joined[a.NetworkName] = true
		e := endpoint(&a)
		out.Networks[a.NetworkName] = e
		if i == 0 && a.NetworkName == slirp.NameBridge {
			out.top(e)
		}
	}
	for _, name := range wanted(c.Spec) {
		if !joined[name] { // it does not run, or has nothing there
			out.Networks[name] = &network.EndpointSettings{}
		}
	}
	if c.State.Status == sandbox.Running || c.State.Status == sandbox.Paused {
		out.SandboxID = c.ID
		out.SandboxKey = "/proc/" + strconv.Itoa(c.State.Guest.PID) + "/ns/net"
		out.Ports = portMap(c)
	}
	return out
}

// wanted are the networks that a container is on when it runs.
func wanted(s *spec.Spec) []string {
	if len(s.Host.Network) > len(spec.Container) && s.Host.Network[:len(spec.Container)] == string(spec.Container) {
		return nil
	}
	var out []string
	if !s.Host.Disconnected {
		out = append(out, s.Host.Network)
	}
	for _, n := range s.Host.Connected {
		out = append(out, n.Network)
	}
	return out
}

func endpoint(a *engine.Attachment) *network.EndpointSettings {
	e := &network.EndpointSettings{
		Aliases: a.Aliases, NetworkID: a.Network, EndpointID: a.ID, Gateway: a.Gateway, IPAddress: a.IPv4.Addr(), IPPrefixLen: bits(a.IPv4),
		MacAddress: network.HardwareAddr(a.MAC[:]), IPv6Gateway: a.Gateway6, GlobalIPv6Address: a.IPv6.Addr(), GlobalIPv6PrefixLen: bits(a.IPv6),
		DNSNames: a.Names,
	}
	if a.WantIPv4.IsValid() || a.WantIPv6.IsValid() {
		e.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: a.WantIPv4, IPv6Address: a.WantIPv6}
	}
	return e
}

// bits is a prefix's length, 0 where there is no address.
func bits(p netip.Prefix) int { return max(p.Bits(), 0) }

// top repeats a network's values above the list, as Docker does for the default network.
func (n *NetworkSettings) top(e *network.EndpointSettings) {
	n.EndpointID, n.IPPrefixLen, n.GlobalIPv6PrefixLen = e.EndpointID, e.IPPrefixLen, e.GlobalIPv6PrefixLen
	n.Gateway, n.IPAddress = text(e.Gateway), text(e.IPAddress)
	n.IPv6Gateway, n.GlobalIPv6Address = text(e.IPv6Gateway), text(e.GlobalIPv6Address)
	n.MacAddress = e.MacAddress.String()
}

// text is an address, empty where there is none.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// portMap are the ports of a running container: those published with where, those only exposed with null.
func portMap(c *sandbox.Snapshot) network.PortMap {
	out := network.PortMap{}
	for p := range c.Spec.Config.ExposedPorts {
		if port, err := network.ParsePort(p); err == nil {
			out[port] = nil
		}
	}
	for _, p := range engine.Published(c) {
		if port, err := network.ParsePort(p.Port.String()); err == nil {
			out[port] = append(out[port], network.PortBinding{HostIP: p.Host.Addr(), HostPort: strconv.Itoa(int(p.Host.Port()))})
		}
	}
	return out
}

// portBindings are -p as asked for.
func portBindings(s *spec.Spec) network.PortMap {
	out := network.PortMap{}
	for _, raw := range s.Host.Ports {
		specs, err := slirp.ParsePort(raw)
		if err != nil {
			continue // it was refused when the container was made
		}
		for _, p := range specs {
			port, err := network.ParsePort(p.Port.String())
			if err != nil {
				continue
			}
			out[port] = append(out[port], network.PortBinding{HostIP: p.HostIP, HostPort: hostRange(p)})
		}
	}
	return out
}

// hostRange is the host's side of -p: empty for any port.
func hostRange(p slirp.PortSpec) string {
	switch {
	case p.HostFirst == 0:
		return ""
	case p.HostLast > p.HostFirst:
		return strconv.Itoa(int(p.HostFirst)) + "-" + strconv.Itoa(int(p.HostLast))
	}
	return strconv.Itoa(int(p.HostFirst))
}

// portSummaries are a list's ports.
func portSummaries(c *sandbox.Snapshot) []container.PortSummary {
	out := []container.PortSummary{}
	seen := map[string]bool{}
	for _, p := range engine.Published(c) {
		seen[p.Port.String()] = true
		out = append(out, container.PortSummary{IP: p.Host.Addr(), PrivatePort: p.Port.Number, PublicPort: p.Host.Port(), Type: string(p.Port.Proto)})
	}
	if c.State.Status != sandbox.Running && c.State.Status != sandbox.Paused {
		return out
	}
	for name := range c.Spec.Config.ExposedPorts {
		ports, err := slirp.ParseExpose(name)
		if err != nil || seen[name] {
			continue
		}
		for _, p := range ports {
			out = append(out, container.PortSummary{PrivatePort: p.Number, Type: string(p.Proto)})
		}
	}
	return out
}
