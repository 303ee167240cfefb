package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/guest"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/switchd"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Networks is the store of the user's networks.
func (e *Engine) Networks() *slirp.Store {
	return &slirp.Store{Dir: e.Dirs.Data + "/networks", Account: userns.Here().Machine + " " + strconv.Itoa(e.Dirs.UID)}
}

// network connects containers through the switch.
type network struct{ e *Engine }

var _ supervisor.Network = network{}

// Attach implements supervisor.Network.
func (n network) Attach(ctx context.Context, c *sandbox.Snapshot, pid int) ([]byte, error) {
	wishes, err := n.e.wishes(c.Spec)
	if err != nil {
		return nil, err
	}
	if len(wishes) == 0 {
		return nil, nil
	}
	if byProgram(c.Spec.Host.Backend) {
		at, err := n.e.attachProgram(ctx, c, pid, c.Spec.Host.Backend, &wishes[0])
		return n.attached(c, at, &wishes[0], err)
	}
	at, err := n.e.attach(c, pid, wishes)
	if err != nil {
		_ = n.e.detach(c.ID)
		if errors.Is(err, gateway.ErrNoRules) {
			at, err := n.e.attachFallback(ctx, c, pid, &wishes[0], err)
			return n.attached(c, at, &wishes[0], err)
		}
		return nil, err
	}
	n.e.keepSwitch()
	if err := addHosts(c, &at[0], &wishes[0].network, n.e.linkLines(c.Spec)); err != nil {
		return nil, err
	}
	return json.Marshal(at)
}

// attached completes what an installed program has begun.
func (n network) attached(c *sandbox.Snapshot, at *Attachment, w *wish, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	if err := addHosts(c, at, &w.network, n.e.linkLines(c.Spec)); err != nil {
		return nil, errors.Join(err, at.Carrier.End())
	}
	return json.Marshal([]Attachment{*at})
}

// Release implements supervisor.Network.
func (n network) Release(_ context.Context, c *sandbox.Snapshot) error {
	if at := recorded(c); len(at) > 0 && at[0].Carrier != nil {
		return at[0].Carrier.End()
	}
	return n.e.detach(c.ID)
}

// attach puts a container on networks.
func (e *Engine) attach(c *sandbox.Snapshot, pid int, wishes []wish) (out []Attachment, err error) {
	netns, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if errors.Is(err, fs.ErrPermission) { // born in another container's user namespace, and unreadable yet
		netns, err = supervisor.OpenHeld(c.State.Holder, guest.MakerNet, os.O_RDONLY)
	}
	if err != nil {
		return nil, err
	}
	defer netns.Close()
	pidfd, err := sys.PidfdOpen(pid)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(pidfd)
	err = e.withSwitch(func(s *switchd.Client) error {
		out = out[:0]
		for i := range wishes {
			w := &wishes[i]
			ep, err := s.Attach(w.network, w.config, int(netns.Fd()), pidfd)
			if err != nil {
				return connectError(w, c, err)
			}
			out = append(out, w.attachment(ep))
		}
		return nil
	})
	return out, err
}

// connectError is Docker's sentence for a port or an address that cannot be had.
func connectError(w *wish, c *sandbox.Snapshot, err error) error {
	var p *slirp.PortError
	if errors.As(err, &p) {
		return fmt.Errorf("driver failed programming external connectivity on endpoint %s (%s): %w", c.Spec.Name, c.ID, err)
	}
	if errors.Is(err, slirp.ErrAddressUse) {
		return &sentence{"Address already in use", err}
	}
	return err
}

// sentence is an error in Docker's words for what errors.Is finds behind it.
type sentence struct {
	text string
	err  error
}

func (s *sentence) Error() string { return s.text }
func (s *sentence) Unwrap() error { return s.err }

// detach takes a container from all networks.
func (e *Engine) detach(id string) error {
	return e.ifSwitch(func(s *switchd.Client) error { return s.Detach(id, "") })
}

// checkNetwork looks at what is said of the network while the container is made, so that a mistake leaves nothing behind.
func (e *Engine) checkNetwork(s *spec.Spec) (warnings []string, err error) {
	h := &s.Host
	switch {
	case strings.HasPrefix(h.Network, string(spec.Container)):
		return nil, nil
	case h.Network == string(spec.None):
		return nil, nil
	case h.Network == string(spec.FromHost):
		if len(h.Ports) > 0 || h.PublishAll {
			warnings = append(warnings, "published ports are discarded when using host network mode")
		}
		return warnings, nil
	}
	wishes, err := e.wishes(s)
	if errors.Is(err, slirp.ErrNotFound) {
		return nil, &Hint{Err: err, Remedy: "see moss network ls, or make it: moss network create " + h.Network}
	}
	if err != nil {
		return nil, err
	}
	w := &wishes[0]
	h.Network = w.network.Name
	if w.network.Driver != slirp.DriverBridge { // none or host by its id
		return e.checkNetwork(s)
	}
	if err := e.checkBackend(h, &w.network); err != nil {
		return nil, err
	}
	return nil, checkWish(w)
}

// checkWish refuses what the default network cannot give, as Docker does, and addresses that can never be had.
func checkWish(w *wish) error {
	named := w.network.Named()
	switch {
	case !named && (w.config.IPv4.IsValid() || w.config.IPv6.IsValid()):
		return fmt.Errorf("invalid config for network %s: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only", w.network.Name)
	case !named && len(w.config.Aliases) > 0:
		return fmt.Errorf("invalid config for network %s: invalid endpoint settings:\nnetwork-scoped aliases are only supported for user-defined networks", w.network.Name)
	}
	for _, a := range []netip.Addr{w.config.IPv4, w.config.IPv6} {
		if a.IsValid() && !slices.ContainsFunc(w.network.Subnets, func(s slirp.Subnet) bool { return s.Subnet.Contains(a) }) {
			return fmt.Errorf("invalid config for network %s: invalid endpoint settings:\nno configured subnet contains IP address %s", w.network.Name, a)
		}
	}
	return nil
}
