package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/slirp"
)

// A Member is a running container's place on a network.
type Member struct {
	Container, Name string
	Attachment      Attachment
}

// Network finds a network by name or id, and who is on it.
func (e *Engine) Network(ctx context.Context, name string) (*slirp.Network, []Member, error) {
	n, err := e.findNetwork(name)
	if err != nil {
		return nil, nil, err
	}
	all, _ := e.List(ctx) // one that cannot be read is on no network
	return &n, members(all, n.ID), nil
}

// findNetwork finds a network by name or id.
func (e *Engine) findNetwork(name string) (slirp.Network, error) {
	n, err := e.Networks().Get(name)
	if errors.Is(err, slirp.ErrNotFound) {
		err = &sentence{"network " + name + " not found", err}
	}
	return n, err
}

func members(all []*sandbox.Snapshot, network string) (out []Member) {
	for _, c := range all {
		for _, a := range Attachments(c) {
			if a.Network == network {
				out = append(out, Member{c.ID, c.Spec.Name, a})
			}
		}
	}
	return out
}

// CreateNetwork makes a network. The errors are Docker's sentences.
func (e *Engine) CreateNetwork(n slirp.Network) (slirp.Network, error) {
	if err := e.Dirs.Ensure(e.Dirs.Data + "/networks"); err != nil {
		return n, err
	}
	made, err := e.Networks().Create(n, slirp.HostUsed())
	switch {
	case errors.Is(err, slirp.ErrExists):
		return n, &sentence{"network with name " + n.Name + " already exists", err}
	case errors.Is(err, slirp.ErrBuiltIn):
		return n, &sentence{fmt.Sprintf("operation is not permitted on predefined %s network ", n.Name), err}
	case err == nil:
		e.networkEvent("create", &made)
	}
	return made, err
}

func (e *Engine) networkEvent(act string, n *slirp.Network, attrs ...string) {
	a := map[string]string{"name": n.Name, "type": n.Driver}
	for i := 0; i+1 < len(attrs); i += 2 {
		a[attrs[i]] = attrs[i+1]
	}
	e.Dirs.Emit(sandbox.Event{Type: "network", Act: act, ID: n.ID, Attrs: a})
}

// RemoveNetwork removes a network that no running container is on.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	n, in, err := e.Network(ctx, name)
	if err != nil {
		return err
	}
	if slirp.BuiltIn(n.Name) {
		return &sentence{n.Name + " is a pre-defined network and cannot be removed", slirp.ErrBuiltIn}
	}
	if len(in) > 0 {
		names := make([]string, len(in))
		for i, m := range in {
			names[i] = m.Name
		}
		return hint("moss network disconnect "+n.Name+" "+names[0], "error while removing network: network %s has active endpoints (%s)", n.Name, strings.Join(names, ", "))
	}
	if err := e.Networks().Remove(*n); err != nil {
		return err
	}
	e.networkEvent("destroy", n)
	return nil
}

// PruneNetworks removes the networks that no container, running or not, is on, where keep does not say otherwise, and
// returns their names.
func (e *Engine) PruneNetworks(ctx context.Context, keep func(*slirp.Network) bool) (gone []string, err error) {
	nets, err := e.Networks().List()
	if err != nil {
		return nil, err
	}
	all, bad := e.List(ctx)
	if len(bad) > 0 {
		return nil, errors.Join(bad...) // it may be on any of them
	}
	used := usedNetworks(all)
	for i := range nets {
		n := &nets[i]
		if slirp.BuiltIn(n.Name) || used[n.Name] || keep(n) {
			continue
		}
		if err := e.RemoveNetwork(ctx, n.Name); err != nil {
			return gone, err
		}
		gone = append(gone, n.Name)
	}
	return gone, nil
}

// UsedNetworks are the names of the networks that some container is on, running or not.
func (e *Engine) UsedNetworks(ctx context.Context) map[string]bool {
	all, _ := e.List(ctx)
	return usedNetworks(all)
}

func usedNetworks(all []*sandbox.Snapshot) map[string]bool {
	used := map[string]bool{}
	for _, c := range all {
		for _, name := range ownNetworks(c.Spec) {
			used[name] = true
		}
	}
	return used
}
