package engine

import (
	"context"
	"fmt"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
)

// share turns "container:NAME" of --pid, --ipc and --network into the container's id, and takes over what comes with the
// namespaces: the other's host name with its network. The other is nil where nothing is shared.
func (e *Engine) share(ctx context.Context, sp *spec.Spec) (other *sandbox.Snapshot, err error) {
	h := &sp.Host
	network := spec.Share(h.Network)
	for _, s := range []*spec.Share{&network, &h.PID, &h.IPC} {
		name := s.Of()
		if name == "" {
			continue
		}
		c, err := e.Find(ctx, name)
		if err != nil {
			return nil, err
		}
		*s, other = spec.Container+spec.Share(c.ID), c
		if s == &network {
			h.Hostname = c.Spec.Host.Hostname
		}
		if s == &h.IPC && c.Spec.Host.IPC != spec.Own && c.Spec.Host.IPC != spec.Shareable {
			return nil, hint("make the other one with --ipc shareable", "container %s: non-shareable IPC", c.Spec.Name)
		}
	}
	h.Network = string(network)
	return other, supervisor.CheckShared(h)
}

// checkShare refuses what does not go together, in Docker's words.
func checkShare(o *Create) error {
	h := &o.Host
	network := spec.Share(h.Network)
	switch {
	case o.Hostname != "" && h.UTS == spec.FromHost:
		return fmt.Errorf("conflicting options: hostname and the UTS mode")
	case network.Of() == "":
		return nil
	case o.Hostname != "":
		return fmt.Errorf("conflicting options: hostname and the network mode")
	case len(h.Links) > 0:
		return fmt.Errorf("conflicting options: container type network can't be used with links. This would result in undefined behavior")
	case len(h.DNS) > 0:
		return fmt.Errorf("conflicting options: dns and the network mode")
	case len(h.ExtraHosts) > 0:
		return fmt.Errorf("conflicting options: custom host-to-IP mapping and the network mode")
	case h.MAC != "":
		return fmt.Errorf("conflicting options: mac-address and the network mode")
	case len(h.Ports) > 0 || h.PublishAll:
		return fmt.Errorf("conflicting options: port publishing and the container type network mode")
	case len(o.Expose) > 0:
		return fmt.Errorf("conflicting options: port exposing and the container type network mode")
	}
	return nil
}
