package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/program"
)

// An Attachment is a running container's place on one network, as its state keeps it. The first one carries the published
// ports and the default route.
type Attachment struct {
	slirp.Endpoint
	NetworkName string           `json:"networkName"`
	Aliases     []string         `json:"aliases,omitempty"` // as asked for
	Names       []string         `json:"names,omitempty"`   // by which the others find it, nil on the default network
	WantIPv4    netip.Addr       `json:"wantIPv4,omitzero"` // --ip
	WantIPv6    netip.Addr       `json:"wantIPv6,omitzero"`
	Carrier     *program.Carrier `json:"carrier,omitempty"` // where an installed program carries the network
}

// Attachments are a container's places on networks; none where it does not run, or has no network of moss's.
func Attachments(c *sandbox.Snapshot) (out []Attachment) {
	if !running(c) {
		return nil
	}
	return recorded(c)
}

// recorded are the places on networks that a container's state names; they are gone where it does not run.
func recorded(c *sandbox.Snapshot) (out []Attachment) {
	if len(c.State.Network) == 0 {
		return nil
	}
	if json.Unmarshal(c.State.Network, &out) != nil {
		return nil // another release's
	}
	return out
}

// Published are a container's published ports.
func Published(c *sandbox.Snapshot) (out []slirp.Published) {
	for _, a := range Attachments(c) {
		out = append(out, a.Ports...)
	}
	return out
}

// a wish is a network that a container is to be on, and how.
type wish struct {
	network slirp.Network
	config  slirp.EndpointConfig
}

// wishes are the networks of a container that is about to run.
func (e *Engine) wishes(s *spec.Spec) ([]wish, error) {
	h := &s.Host
	all := h.Connected
	if !h.Disconnected {
		all = append([]spec.Connection{{Network: h.Network, Aliases: h.Aliases, IP: h.IP, IP6: h.IP6, MAC: h.MAC}}, all...)
	}
	ports, err := portSpecs(s)
	if err != nil {
		return nil, err
	}
	var out []wish
	for i := range all {
		n, err := e.findNetwork(all[i].Network)
		if err != nil {
			return nil, err
		}
		w, err := connectionWish(s, n, &all[i])
		if err != nil {
			return nil, err
		}
		w.config.Rung = rung(h.Backend)
		w.config.Interface, w.config.NoDefault = "eth"+strconv.Itoa(i), i > 0
		if i == 0 {
			w.config.Ports = ports
		}
		out = append(out, w)
	}
	return out, nil
}

// connectionWish turns what a specification says of one network into values.
func connectionWish(s *spec.Spec, n slirp.Network, c *spec.Connection) (w wish, err error) {
	w = wish{network: n, config: slirp.EndpointConfig{Container: s.ID, Name: s.Name, Aliases: c.Aliases}}
	if w.config.IPv4, err = address(c.IP); err != nil {
		return w, err
	}
	if w.config.IPv6, err = address(c.IP6); err != nil {
		return w, err
	}
	if w.config.MAC, err = slirp.ParseMAC(c.MAC); err != nil {
		return w, err
	}
	for _, d := range s.Host.DNS {
		a, err := address(d)
		if err != nil {
			return w, err
		}
		w.config.DNS = append(w.config.DNS, a)
	}
	return w, nil
}

func address(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("invalid IP address: %s", s)
	}
	return a, nil
}

// portSpecs are -p, and with -P the exposed ports that -p does not name.
func portSpecs(s *spec.Spec) (out []slirp.PortSpec, err error) {
	for _, p := range s.Host.Ports {
		l, err := slirp.ParsePort(p)
		if err != nil {
			return nil, err
		}
		out = append(out, l...)
	}
	if !s.Host.PublishAll {
		return out, nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Config.ExposedPorts)) {
		ports, err := slirp.ParseExpose(name)
		if err != nil {
			return nil, err
		}
		for _, p := range ports {
			if !slices.ContainsFunc(out, func(o slirp.PortSpec) bool { return o.Port == p }) {
				out = append(out, slirp.PortSpec{Port: p})
			}
		}
	}
	return out, nil
}

// attachment is what is kept of an endpoint.
func (w *wish) attachment(e slirp.Endpoint) Attachment {
	a := Attachment{
		Endpoint: e, NetworkName: w.network.Name, Aliases: w.config.Aliases, WantIPv4: w.config.IPv4, WantIPv6: w.config.IPv6,
	}
	if w.network.Named() {
		a.Names = w.config.Names()
	}
	return a
}
