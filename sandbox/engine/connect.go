package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/program"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

// change has f change a container's specification, and its attachments if it runs, under the container's lock.
func (e *Engine) change(ctx context.Context, name string, f func(c *sandbox.Snapshot, at []Attachment) ([]Attachment, error)) error {
	c, err := e.Find(ctx, name)
	if err != nil {
		return err
	}
	if err := foreign(c); err != nil {
		return err
	}
	lock, err := c.Lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	if c, err = c.Look(); err != nil {
		return err
	}
	at, err := f(c, Attachments(c))
	if err != nil {
		return err
	}
	if err := c.SaveSpec(c.Spec); err != nil || !running(c) {
		return err
	}
	return saveNetwork(c, at)
}

// saveNetwork keeps the attachments of a container that runs. Its end, recorded meanwhile, wins: the state is read again.
func saveNetwork(c *sandbox.Snapshot, at []Attachment) error {
	b, err := json.Marshal(at)
	if err != nil {
		return err
	}
	now, err := c.Look()
	if err != nil || !running(now) {
		return err
	}
	now.State.Network = b
	return now.SaveState(now.State)
}

// Connect puts a container on a further network, at once if it runs, and whenever it is started.
func (e *Engine) Connect(ctx context.Context, network, container string, want spec.Connection) error {
	n, _, err := e.Network(ctx, network)
	if err != nil {
		return err
	}
	return e.change(ctx, container, func(c *sandbox.Snapshot, at []Attachment) ([]Attachment, error) {
		w, err := e.connection(c, n, &want)
		if err != nil || !running(c) {
			return at, err
		}
		w.config.Interface, w.config.NoDefault = freeInterface(at), len(at) > 0
		if len(at) == 0 { // its only network from now on: the ports are published there
			if w.config.Ports, err = portSpecs(c.Spec); err != nil {
				return nil, err
			}
		}
		more, err := e.attach(c, c.State.Guest.PID, []wish{w})
		if err != nil {
			return nil, err
		}
		e.networkEvent("connect", n, "container", c.ID)
		return append(at, more...), nil
	})
}

// connection checks a wish to be on a network and notes it in the specification.
func (e *Engine) connection(c *sandbox.Snapshot, n *slirp.Network, want *spec.Connection) (w wish, err error) {
	h := &c.Spec.Host
	switch {
	case h.Network == string(spec.FromHost) || n.Name == slirp.NameHost:
		return w, errors.New("container cannot be disconnected from host network or connected to host network")
	case h.Network == string(spec.None) || n.Name == slirp.NameNone:
		return w, errors.New("container cannot be connected to multiple networks with one of the networks in private (none) mode")
	case byProgram(h.Backend):
		return w, onlyOwn(c)
	case slices.Contains(ownNetworks(c.Spec), n.Name):
		return w, fmt.Errorf("endpoint with name %s already exists in network %s", c.Spec.Name, n.Name)
	}
	want.Network = n.Name
	if w, err = connectionWish(c.Spec, *n, want); err != nil {
		return w, err
	}
	if err = checkWish(&w); err == nil {
		h.Connected = append(h.Connected, *want)
	}
	return w, err
}

// ownNetworks are the networks that a container is on when it runs.
func ownNetworks(s *spec.Spec) (out []string) {
	if !s.Host.Disconnected {
		out = append(out, s.Host.Network)
	}
	for _, n := range s.Host.Connected {
		out = append(out, n.Network)
	}
	return out
}

// freeInterface is the first ethN that no attachment has.
func freeInterface(at []Attachment) string {
	for i := 0; ; i++ {
		name := "eth" + strconv.Itoa(i)
		if !slices.ContainsFunc(at, func(a Attachment) bool { return a.Interface == name }) {
			return name
		}
	}
}

// Publish publishes more ports of a running container and tells where; they are published again whenever it starts.
func (e *Engine) Publish(ctx context.Context, container string, ports []string) (out []slirp.Published, err error) {
	specs, err := parsePorts(ports)
	if err != nil {
		return nil, err
	}
	return out, e.change(ctx, container, func(c *sandbox.Snapshot, at []Attachment) ([]Attachment, error) {
		if err := canPublish(c, container, at); err != nil {
			return nil, err
		}
		if at[0].Carrier != nil {
			out, err = e.changeProgram(ctx, &at[0], program.Call{Op: program.Publish, Ports: specs})
		} else {
			err = e.withSwitch(func(s *switchd.Client) (err error) { out, err = s.Publish(c.ID, specs); return err })
		}
		if err != nil {
			return nil, err
		}
		c.Spec.Host.Ports = append(c.Spec.Host.Ports, ports...)
		at[0].Ports = append(at[0].Ports, out...)
		return at, nil
	})
}

// Unpublish takes published ports back; connections that were made go on.
func (e *Engine) Unpublish(ctx context.Context, container string, ports []string) error {
	specs, err := parsePorts(ports)
	if err != nil {
		return err
	}
	return e.change(ctx, container, func(c *sandbox.Snapshot, at []Attachment) ([]Attachment, error) {
		if err := canPublish(c, container, at); err != nil {
			return nil, err
		}
		gone := func(p slirp.Published) bool {
			return slices.ContainsFunc(specs, func(s slirp.PortSpec) bool { return covers(&s, p) })
		}
		if err := e.unpublish(ctx, c, &at[0], specs, gone); err != nil {
			return nil, err
		}
		for i := range at {
			at[i].Ports = slices.DeleteFunc(at[i].Ports, gone)
		}
		c.Spec.Host.Ports = slices.DeleteFunc(c.Spec.Host.Ports, func(raw string) bool { return unwanted(raw, specs) })
		return at, nil
	})
}

// unpublish has whoever carries the network end listeners.
func (e *Engine) unpublish(ctx context.Context, c *sandbox.Snapshot, first *Attachment, specs []slirp.PortSpec, gone func(slirp.Published) bool) error {
	if first.Carrier == nil {
		return e.withSwitch(func(s *switchd.Client) error { return s.Unpublish(c.ID, specs) })
	}
	q := program.Call{Op: program.Unpublish}
	for _, p := range first.Ports {
		if gone(p) {
			q.Gone = append(q.Gone, p)
		}
	}
	if len(q.Gone) == 0 {
		return missingPort(c)
	}
	_, err := e.changeProgram(ctx, first, q)
	return err
}

func parsePorts(ports []string) (out []slirp.PortSpec, err error) {
	for _, p := range ports {
		l, err := slirp.ParsePort(p)
		if err != nil {
			return nil, err
		}
		out = append(out, l...)
	}
	return out, nil
}

func canPublish(c *sandbox.Snapshot, name string, at []Attachment) error {
	switch {
	case !running(c):
		return fmt.Errorf("container %s is not running", name)
	case len(at) == 0:
		return hint("a container on the machine's own network needs no published ports; one without a network can have none", "container %s has no network whose ports could be published", name)
	}
	return nil
}

// covers tells whether a port to be taken back means a listener: what is left out means every one.
func covers(s *slirp.PortSpec, p slirp.Published) bool {
	return s.Port == p.Port && (s.HostFirst == 0 || s.HostFirst <= p.Host.Port() && p.Host.Port() <= max(s.HostFirst, s.HostLast)) &&
		(!s.HostIP.IsValid() || s.HostIP == p.Host.Addr())
}

// unwanted tells whether a -p of the specification means only ports that are taken back.
func unwanted(raw string, gone []slirp.PortSpec) bool {
	specs, err := slirp.ParsePort(raw)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(specs, func(s slirp.PortSpec) bool {
		return !slices.ContainsFunc(gone, func(g slirp.PortSpec) bool {
			return g.Port == s.Port && (g.HostFirst == 0 || g.HostFirst <= s.HostFirst && s.HostLast <= max(g.HostFirst, g.HostLast)) && (!g.HostIP.IsValid() || g.HostIP == s.HostIP)
		})
	})
}
