package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

// Disconnect takes a container from a network. When that was its first one, another takes over the default route and the
// published ports, if there is one.
func (e *Engine) Disconnect(ctx context.Context, network, container string) error {
	n, _, err := e.Network(ctx, network)
	if err != nil {
		return err
	}
	return e.change(ctx, container, func(c *sandbox.Snapshot, at []Attachment) ([]Attachment, error) {
		h := &c.Spec.Host
		if n.Name == slirp.NameHost {
			return nil, errors.New("container cannot be disconnected from host network or connected to host network")
		}
		if !slices.Contains(ownNetworks(c.Spec), n.Name) {
			return nil, fmt.Errorf("container %s is not connected to network %s", c.ID, n.Name)
		}
		if err := onlyOwn(c); err != nil {
			return nil, err
		}
		if h.Network == n.Name {
			h.Disconnected = true
		}
		h.Connected = slices.DeleteFunc(h.Connected, func(x spec.Connection) bool { return x.Network == n.Name })
		if !running(c) {
			return at, nil
		}
		left, err := e.leave(c, at, n)
		if err == nil {
			e.networkEvent("disconnect", n, "container", c.ID)
		}
		return left, err
	})
}

// leave takes a running container from a network and returns where it still is.
func (e *Engine) leave(c *sandbox.Snapshot, at []Attachment, n *slirp.Network) ([]Attachment, error) {
	i := slices.IndexFunc(at, func(a Attachment) bool { return a.Network == n.ID })
	if i < 0 {
		return at, nil
	}
	gone := at[i]
	left := slices.Delete(slices.Clone(at), i, i+1)
	if err := e.ifSwitch(func(s *switchd.Client) error { return s.Detach(c.ID, n.ID) }); err != nil || i > 0 {
		return left, err
	}
	if len(left) == 0 {
		return left, moveHosts(c, &gone, nil)
	}
	// Docker's choice is the network with the lowest name that leads outside.
	next := max(0, slices.IndexFunc(left, func(a Attachment) bool { n, err := e.findNetwork(a.Network); return err == nil && !n.Internal }))
	left[0], left[next] = left[next], left[0]
	if err := e.promote(c, &left[0], gone.Ports); err != nil {
		return nil, err
	}
	return left, moveHosts(c, &gone, &left[0])
}

// promote gives an attachment the default route and the ports that another one has published.
func (e *Engine) promote(c *sandbox.Snapshot, a *Attachment, ports []slirp.Published) error {
	specs := make([]slirp.PortSpec, len(ports))
	for i, p := range ports {
		specs[i] = slirp.PortSpec{Port: p.Port, HostIP: p.Host.Addr(), HostFirst: p.Host.Port(), HostLast: p.Host.Port()}
	}
	return e.withSwitch(func(s *switchd.Client) (err error) {
		a.Ports, err = s.Promote(c.ID, a.Network, specs)
		return err
	})
}

// renameOnNetworks has the other containers find a running one by its new name. Its lock must be held.
func (e *Engine) renameOnNetworks(c *sandbox.Snapshot) error {
	at := Attachments(c)
	if len(at) == 0 || at[0].Carrier != nil {
		return nil
	}
	if err := e.ifSwitch(func(s *switchd.Client) error { return s.Rename(c.ID, c.Spec.Name) }); err != nil {
		return err
	}
	for i := range at {
		if at[i].Names != nil {
			names := slirp.EndpointConfig{Container: c.ID, Name: c.Spec.Name, Aliases: at[i].Aliases}
			at[i].Names = names.Names()
		}
	}
	return saveNetwork(c, at)
}
