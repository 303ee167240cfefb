package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Role is the name of the role that does the work.
const Role = "net-program"

// The operations.
const (
	Start     = "start"     // everything but Carrier
	Publish   = "publish"   // Carrier, Ports
	Unpublish = "unpublish" // Carrier, Gone
)

// A Call is what is asked of the role.
type Call struct {
	Op           string            `json:"op"`
	Backend      string            `json:"backend"` // slirp4netns, pasta
	Container    string            `json:"container"`
	PID          int               `json:"pid"` // whose network it is
	Dir          string            `json:"dir"` // for sockets and pid files
	MTU          int               `json:"mtu"`
	HostLoopback bool              `json:"hostLoopback,omitempty"`
	IPv6         bool              `json:"ipv6,omitempty"`
	Ports        []slirp.PortSpec  `json:"ports,omitempty"`
	Gone         []slirp.Published `json:"gone,omitempty"`
	Carrier      *Carrier          `json:"carrier,omitempty"`
}

// A Carrier is the process that carries a container's network.
type Carrier struct {
	Backend string         `json:"backend"`
	Process userns.Process `json:"process"`
	Files   []string       `json:"files,omitempty"` // to be removed at its end
	Socket  string         `json:"socket,omitempty"`
	Ports   []Forward      `json:"ports,omitempty"`
}

// A Forward is a published port and the number by which slirp4netns knows it.
type Forward struct {
	Port slirp.Published `json:"port"`
	ID   int             `json:"id"`
}

// An Answer is what has come of a call.
type Answer struct {
	Carrier  Carrier           `json:"carrier"`
	Endpoint slirp.Endpoint    `json:"endpoint"`
	Resolver netip.Addr        `json:"resolver,omitzero"` // for the container's resolv.conf
	Ports    []slirp.Published `json:"ports,omitempty"`   // newly published
	Fault    *Fault            `json:"fault,omitempty"`
}

// A Fault is an error on its way from the role, with its hints.
type Fault struct {
	Text  string           `json:"text"`
	Tips  []string         `json:"tips,omitempty"`
	Port  *slirp.PortError `json:"port,omitempty"`
	cause error
}

// Error is the role's sentence.
func (f *Fault) Error() string { return f.Text }

// Hints are the role's.
func (f *Fault) Hints() []string { return f.Tips }

// Unwrap gives the *slirp.PortError behind it, if it is one.
func (f *Fault) Unwrap() error { return f.cause }

// Ask runs a call in the user's namespace. Errors: *slirp.PortError, and *Fault with hints where the program is missing, too
// old or refuses.
func Ask(ctx context.Context, ns role.Inside, q Call) (*Answer, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := role.Command{Name: Role, Body: q, Files: []*os.File{w}, Heavy: true, Setsid: true}
	p, err := cmd.StartInside(ns, role.HostMounts)
	w.Close()
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = p.Kill() })()
	b, _ := io.ReadAll(r) // what is cut does not parse
	_, _ = p.Wait()
	var a Answer
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, errors.Join(ctx.Err(), fmt.Errorf("network backend %s: the process that asks the program was killed", q.Backend))
	}
	if f := a.Fault; f != nil {
		if f.Port != nil {
			f.cause = f.Port
		}
		return nil, f
	}
	return &a, nil
}

// End ends the process and removes its files. One that has ended already is no error.
func (c *Carrier) End() error {
	for _, f := range c.Files {
		os.Remove(f) //nolint:errcheck // the program may have done it
	}
	fd, err := c.Process.Open()
	if err != nil {
		return nil //nolint:nilerr // it has gone
	}
	defer syscall.Close(fd)
	if err := sys.PidfdSignal(fd, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ending %s: %w", c.Backend, err)
	}
	syscall.Wait4(c.Process.PID, nil, 0, nil) //nolint:errcheck // ECHILD unless it has become a child of this process
	return nil
}
