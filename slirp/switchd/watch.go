package switchd

import (
	"slices"

	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// watchHolders has a holder that dies replaced. current tells the holders that are wanted now and again starts others;
// both are called with mu held.
func (s *service) watchHolders(list []holder, current func() []holder, again func() error) {
	for _, h := range list {
		pidfd, err := h.Process.Open()
		if err != nil {
			continue
		}
		s.host.Call(func() { //nolint:errcheck // a closed loop watches nothing
			s.host.Add(pidfd, sys.EpollIn, reactor.Func(func(uint32) { //nolint:errcheck // a pidfd can be watched since Linux 5.3
				s.host.CloseOnly(pidfd)
				go s.holderEnded(h, current, again)
			}))
		})
	}
}

func (s *service) holderEnded(h holder, current func() []holder, again func() error) {
	spawn.Wait(h.Process.PID) //nolint:errcheck // ECHILD when a former switch has started it
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending || !slices.ContainsFunc(current(), func(x holder) bool { return x.Process == h.Process }) {
		return // released
	}
	if again() == nil {
		s.save() //nolint:errcheck // the next change writes it again
	}
}

// watchNetwork watches the holders of a network.
func (s *service) watchNetwork(n *network) {
	current := func() []holder {
		if s.networks[n.value.ID] != n {
			return nil
		}
		return n.held
	}
	s.watchHolders(n.held, current, func() error {
		held, err := hold(gatewayFiles(n.gw))
		if err != nil {
			return err
		}
		release(n.held)
		n.held = held
		s.watchNetwork(n)
		return nil
	})
}

// watchContainer watches the holders of a container.
func (s *service) watchContainer(box *container) {
	current := func() []holder {
		if s.containers[box.id] != box {
			return nil
		}
		return box.held
	}
	s.watchHolders(box.held, current, func() error { return s.rehold(box, box.files()) })
}
