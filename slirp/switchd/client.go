package switchd

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp"
)

// Client asks a switch. Its methods may be called from several goroutines; each waits for its answer.
type Client struct {
	mu sync.Mutex
	fd int
}

// Dial connects to the switch behind a socket file. An error that is syscall.ENOENT or syscall.ECONNREFUSED says that none
// serves now.
func Dial(path string) (*Client, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("asking the network's switch: %w", err)
	}
	if err := atSocket(path, func(name string) error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: name}) }); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("asking the network's switch at %q: %w", path, err)
	}
	return &Client{fd: fd}, nil
}

// DialWait is Dial that waits up to limit for a switch which has just been started.
func DialWait(path string, limit time.Duration) (*Client, error) {
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		c, err := Dial(path)
		if !none(err) || time.Now().After(end) {
			return c, err
		}
	}
}

// Close ends the conversation. Everything attached stays so.
func (c *Client) Close() error { return syscall.Close(c.fd) }

// FD is the connected socket: its end of file says that the switch has gone.
func (c *Client) FD() int { return c.fd }

// Attach puts a container on a network and publishes its ports. netns is its network namespace, pidfd its pid 1: the
// attachment ends with it. A container that is attached already gets its endpoint again. Errors: *slirp.PortError,
// slirp.ErrAddressUse, slirp.ErrNoAddress, ErrGone.
func (c *Client) Attach(n slirp.Network, e slirp.EndpointConfig, netns, pidfd int) (slirp.Endpoint, error) {
	r, err := c.ask(request{Op: "attach", Network: &n, Endpoint: &e}, netns, pidfd)
	if err != nil || r.Endpoint == nil {
		return slirp.Endpoint{}, err
	}
	return *r.Endpoint, nil
}

// Detach takes a container from a network, or from all with an empty network id. One that is not attached is no error.
func (c *Client) Detach(container, networkID string) error {
	_, err := c.ask(request{Op: "detach", Container: container, NetworkID: networkID})
	return err
}

// Publish publishes more ports of an attached container and returns what is bound.
func (c *Client) Publish(container string, ports []slirp.PortSpec) ([]slirp.Published, error) {
	r, err := c.ask(request{Op: "publish", Container: container, Ports: ports})
	return r.Ports, err
}

// Unpublish ends listeners of a container: those that match one of ports. Connections that have been made go on.
func (c *Client) Unpublish(container string, ports []slirp.PortSpec) error {
	_, err := c.ask(request{Op: "unpublish", Container: container, Ports: ports})
	return err
}

// Promote makes a network of an attached container its first: it gets the default route and publishes ports. A port that it
// publishes already is not published again.
func (c *Client) Promote(container, networkID string, ports []slirp.PortSpec) ([]slirp.Published, error) {
	r, err := c.ask(request{Op: "promote", Container: container, NetworkID: networkID, Ports: ports})
	return r.Ports, err
}

// Rename gives a container another name on all its networks. One that is not attached is no error.
func (c *Client) Rename(container, name string) error {
	_, err := c.ask(request{Op: "rename", Container: container, Name: name})
	return err
}

// List returns all endpoints.
func (c *Client) List() ([]slirp.Endpoint, error) {
	r, err := c.ask(request{Op: "list"})
	return r.Endpoints, err
}

// Status returns what the switch says of itself.
func (c *Client) Status() (Status, error) {
	r, err := c.ask(request{Op: "status"})
	if err != nil || r.Status == nil {
		return Status{}, err
	}
	return *r.Status, nil
}

// Probe has the switch find out what the machine lets it do, by doing it; it takes some 20 ms.
func (c *Client) Probe() (Ability, error) {
	r, err := c.ask(request{Op: "probe"})
	if err != nil || r.Status == nil || r.Status.Ability == nil {
		return Ability{}, err
	}
	return *r.Status.Ability, nil
}

// HandOver makes the switch end and leave everything to its successor, which somebody else starts (a newer moss, or the
// full program). It returns when the switch has gone.
func (c *Client) HandOver() error {
	if _, err := c.ask(request{Op: "stop"}); err != nil && !errors.Is(err, ErrGone) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var r reply
	if left, err := receive(c.fd, &r); !errors.Is(err, ErrGone) {
		closeAll(left)
		return fmt.Errorf("replacing the network's switch: it answers on: %w", err)
	}
	return nil
}

func (c *Client) ask(q request, files ...int) (reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q.Version = Version
	if err := send(c.fd, q, files...); err == syscall.EPIPE || err == syscall.ECONNRESET {
		return reply{}, ErrGone
	} else if err != nil {
		return reply{}, fmt.Errorf("asking the network's switch: %w", err)
	}
	var r reply
	left, err := receive(c.fd, &r)
	closeAll(left)
	if err != nil {
		return reply{}, err
	}
	return r, r.Fault.err()
}
