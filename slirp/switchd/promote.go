package switchd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
)

// promote makes one of a container's networks the first: it gets the default route and publishes ports. Must hold mu.
func (s *service) promote(id, networkID string, specs []slirp.PortSpec) ([]slirp.Published, error) {
	box := s.containers[id]
	if box == nil {
		return nil, fmt.Errorf("container %.12s is not attached to a network: %w", id, slirp.ErrNotFound)
	}
	i := slices.IndexFunc(box.endpoints, func(e *endpoint) bool { return e.net.value.ID == networkID })
	if i < 0 {
		return nil, fmt.Errorf("container %.12s is not attached to network %.12s: %w", id, networkID, slirp.ErrNotFound)
	}
	e := box.endpoints[i]
	if e.config.NoDefault && box.pidfd >= 0 {
		e.config.NoDefault = false
		if err := gateway.Route(box.pidfd, e.value.Interface, e.gateways()); err != nil {
			return nil, err
		}
	}
	box.endpoints = slices.Insert(slices.Delete(box.endpoints, i, i+1), 0, e)
	specs = slices.DeleteFunc(slices.Clone(specs), func(p slirp.PortSpec) bool {
		return slices.ContainsFunc(e.value.Ports, func(have slirp.Published) bool { return matches(p, have) })
	})
	if err := s.publishAgain(id, specs); err != nil {
		return nil, err
	}
	return slices.Clone(e.value.Ports), s.save()
}

// publishAgain publishes ports that another network has just given up: the process that held them may not be quite dead.
func (s *service) publishAgain(id string, specs []slirp.PortSpec) (err error) {
	for end := time.Now().Add(time.Second); len(specs) > 0; time.Sleep(2 * time.Millisecond) {
		if _, err = s.publish(id, specs); !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return err
		}
	}
	return err
}

// gateways are the default routes of an endpoint. An internal network has no way out, so none: connect(2) says so at once.
func (e *endpoint) gateways() (out []netip.Addr) {
	for _, g := range []netip.Addr{e.value.Gateway, e.value.Gateway6} {
		if g.IsValid() && !e.net.value.Internal && !e.config.NoDefault {
			out = append(out, g)
		}
	}
	return out
}

// rename gives a container another name on all its networks. Must hold mu.
func (s *service) rename(id, name string) error {
	box := s.containers[id]
	if box == nil {
		return nil
	}
	for _, e := range box.endpoints {
		e.config.Name = name
		e.net.rename()
	}
	return s.save()
}
