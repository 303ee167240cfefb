package switchd

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
)

// Version of the messages. A switch refuses requests of another one by name.
const Version = 1

// The files in the runtime directory.
const (
	SocketName = "switch.sock"
	lockName   = "switch.lock"
	stateName  = "switch.json"
)

// request is what a client asks; exactly the fields of its operation are set.
//
//	attach     Network, Endpoint; descriptors: the container's network namespace, its pidfd
//	detach     Container, NetworkID ("": all of them)
//	publish    Container, Ports
//	unpublish  Container, Ports (HostFirst and HostIP narrow it; 0: every listener of that container port)
//	promote    Container, NetworkID, Ports: this network gets the default route and publishes the ports
//	rename     Container, Name
//	list, status, probe, stop
type request struct {
	Version   int                   `json:"v"`
	Op        string                `json:"op"`
	Network   *slirp.Network        `json:"network,omitempty"`
	Endpoint  *slirp.EndpointConfig `json:"endpoint,omitempty"`
	Container string                `json:"container,omitempty"`
	NetworkID string                `json:"networkId,omitempty"`
	Name      string                `json:"name,omitempty"`
	Ports     []slirp.PortSpec      `json:"ports,omitempty"`
}

// reply is the answer to one request.
type reply struct {
	Version   int               `json:"v"`
	Fault     *fault            `json:"fault,omitempty"`
	Endpoint  *slirp.Endpoint   `json:"endpoint,omitempty"`
	Endpoints []slirp.Endpoint  `json:"endpoints,omitempty"`
	Ports     []slirp.Published `json:"ports,omitempty"`
	Status    *Status           `json:"status,omitempty"`
}

// Status is what a switch says of itself.
type Status struct {
	PID      int          `json:"pid"`
	Version  int          `json:"version"`
	Networks []NetworkUse `json:"networks,omitempty"`
	Ability  *Ability     `json:"ability,omitempty"` // of Probe
}

// Ability is what this machine lets moss's own network do.
type Ability struct {
	Rung  string `json:"rung"`            // the best that works: relay, relay-conntrack, netstack
	Cause string `json:"cause,omitempty"` // why not a better one, or none
	Ping  bool   `json:"ping"`            // net.ipv4.ping_group_range has this user
	IPv6  bool   `json:"ipv6"`            // the host has a way out for IPv6
}

// NetworkUse is a network being served.
type NetworkUse struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Rung       string `json:"rung"` // of the ladder: relay, relay-conntrack, …
	Containers int    `json:"containers"`
	Holder     int    `json:"holder"` // pid of the process that keeps the gateway
}

// ErrGone says that the switch has ended before it answered.
var ErrGone = errors.New("the network's switch has gone")

// fault carries an error through the socket so that errors.Is and errors.As work on the other side.
type fault struct {
	Kind  string         `json:"kind,omitempty"`
	Text  string         `json:"text"`
	Host  netip.AddrPort `json:"host,omitzero"`
	Proto slirp.Proto    `json:"proto,omitempty"`
	Owner string         `json:"owner,omitempty"`
	Free  uint16         `json:"free,omitempty"`
	Errno syscall.Errno  `json:"errno,omitempty"`
}

// sentinels are the errors that keep their identity.
func sentinels() map[string]error {
	return map[string]error{"no-address": slirp.ErrNoAddress, "address-use": slirp.ErrAddressUse, "not-found": slirp.ErrNotFound, "gone": ErrGone, "no-rules": gateway.ErrNoRules}
}

func faultOf(err error) *fault {
	f := &fault{Text: err.Error()}
	var p *slirp.PortError
	if errors.As(err, &p) {
		f.Kind, f.Host, f.Proto, f.Owner, f.Free, f.Errno = "port", p.Host, p.Proto, p.Owner, p.Free, p.Errno
		return f
	}
	var n *NetstackError
	if errors.As(err, &n) {
		f.Kind, f.Owner = "netstack", n.Network
		return f
	}
	for kind, s := range sentinels() {
		if errors.Is(err, s) {
			f.Kind = kind
		}
	}
	errors.As(err, &f.Errno)
	return f
}

// remote is an error that the switch has reported.
type remote struct {
	text string
	is   error
}

// Error is the switch's text.
func (e *remote) Error() string { return e.text }

// Unwrap gives the sentinel or errno behind it.
func (e *remote) Unwrap() error { return e.is }

func (f *fault) err() error {
	switch {
	case f == nil:
		return nil
	case f.Kind == "port":
		return &slirp.PortError{Host: f.Host, Proto: f.Proto, Owner: f.Owner, Free: f.Free, Errno: f.Errno}
	}
	if f.Kind == "netstack" {
		return &NetstackError{f.Owner}
	}
	e := &remote{text: f.Text, is: sentinels()[f.Kind]}
	if e.is == nil && f.Errno != 0 {
		e.is = f.Errno
	}
	return e
}
