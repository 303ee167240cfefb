package switchd

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
)

// detach takes a container from one network, or from all. Must hold mu.
func (s *service) detach(id, networkID string) error {
	box := s.containers[id]
	if box == nil {
		return nil
	}
	if networkID == "" {
		s.detachAll(box)
		return nil
	}
	for _, e := range slices.Clone(box.endpoints) {
		if e.net.value.ID == networkID {
			s.disconnect(box, e)
			e.net.gw.Disconnect(e.port)
		}
	}
	if len(box.endpoints) > 0 {
		return s.rehold(box, box.files())
	}
	s.bury(box)
	return nil
}

// detachAll ends everything of a container. Its links go in the background: their end takes the kernel 10 ms.
func (s *service) detachAll(box *container) {
	for _, e := range slices.Clone(box.endpoints) {
		s.disconnect(box, e)
		go e.net.gw.Disconnect(e.port)
	}
	s.bury(box)
	s.save() //nolint:errcheck // a successor finds the pidfd ended
	s.reap()
}

func (s *service) disconnect(box *container, e *endpoint) {
	for _, p := range slices.Clone(e.ports) {
		s.closePort(e, p)
	}
	s.forget(box, e)
}

// forget takes an endpoint out of the tables.
func (s *service) forget(box *container, e *endpoint) {
	delete(e.net.members, box.id)
	box.endpoints = slices.DeleteFunc(box.endpoints, func(x *endpoint) bool { return x == e })
	e.net.rename()
	box.view.store(box)
}

// bury ends the record of a container without endpoints; its sockets would else keep its network namespace.
func (s *service) bury(box *container) {
	if s.containers[box.id] != box || len(box.endpoints) > 0 {
		return
	}
	delete(s.containers, box.id)
	s.host.Call(func() { //nolint:errcheck // a closed loop watches nothing
		if box.pidfd >= 0 {
			s.host.RemoveAndClose(box.pidfd)
		}
		if box.resolver != nil {
			box.resolver.Stop()
		} else {
			box.sockets.Close()
		}
	})
	release(box.held)
}

// publish publishes more ports of a container, on its first network. Must hold mu.
func (s *service) publish(id string, specs []slirp.PortSpec) ([]slirp.Published, error) {
	box := s.containers[id]
	if box == nil || len(box.endpoints) == 0 {
		return nil, fmt.Errorf("container %.12s is not attached to a network: %w", id, slirp.ErrNotFound)
	}
	e, had := box.endpoints[0], len(box.endpoints[0].ports)
	var back undo
	err := s.open(e, specs, &back)
	for _, p := range e.ports[min(had, len(e.ports)):] {
		if err == nil {
			err = s.serveListener(e, p)
		}
	}
	if err == nil {
		err = errors.Join(e.returning(e.value.Ports[min(had, len(e.value.Ports)):]), s.rehold(box, box.files()))
	}
	if err != nil {
		back.run()
		return nil, err
	}
	return slices.Clone(e.value.Ports[had:]), s.save()
}

// unpublish ends the listeners that match one of the specs. Must hold mu.
func (s *service) unpublish(id string, specs []slirp.PortSpec) error {
	box, found := s.containers[id], false
	if box == nil {
		return nil
	}
	for _, e := range box.endpoints {
		for _, p := range slices.Clone(e.ports) {
			if slices.ContainsFunc(specs, func(spec slirp.PortSpec) bool { return matches(spec, p.listener.Published) }) {
				if p.listener.Port.Proto == slirp.TCP {
					syscall.Shutdown(p.listener.FD, syscall.SHUT_RDWR) //nolint:errcheck // the holder's end ends it, too
				}
				s.closePort(e, p)
				found = true
			}
		}
	}
	if !found {
		return fmt.Errorf("container %.12s publishes no such port: %w", id, slirp.ErrNotFound)
	}
	if err := s.rehold(box, box.files()); err != nil {
		return err
	}
	return s.save()
}

func matches(spec slirp.PortSpec, p slirp.Published) bool {
	return spec.Port == p.Port && (spec.HostFirst == 0 || spec.HostFirst <= p.Host.Port() && p.Host.Port() <= max(spec.HostFirst, spec.HostLast)) &&
		(!spec.HostIP.IsValid() || spec.HostIP == p.Host.Addr())
}
