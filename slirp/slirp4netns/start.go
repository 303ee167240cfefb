package slirp4netns

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rootless-containers/rootlesskit/v3/pkg/port"
	driver "github.com/rootless-containers/rootlesskit/v3/pkg/port/slirp4netns"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/publish"
)

// What slirp4netns gives a container in its default network.
const (
	guestAddress = "10.0.2.100/24"
	guestGateway = "10.0.2.2"
	guestDNS     = "10.0.2.3"
)

// Config is one container's network.
type Config struct {
	Container     string // its id
	NetNS, UserNS string // files of its namespaces (/proc/PID/ns/…)
	Dir           string // for the API socket
	Interface     string
	MTU           int
	HostLoopback  bool // 10.0.2.2 leads to the host's loopback
	IPv6          bool
	NoSandbox     bool // for hosts whose seccomp or mount namespaces are restricted
}

func (c *Config) socket() string { return filepath.Join(c.Dir, "s4n-"+c.Container[:12]+".sock") }

// Instance is the running process of one container. Whoever started it closes it.
type Instance struct {
	Endpoint slirp.Endpoint
	Resolver netip.Addr // for the container's resolv.conf

	cmd   *exec.Cmd
	exit  *os.File
	ports port.ParentDriver
	ids   map[slirp.Published]int
	sock  string
}

// Start starts slirp4netns for a container and returns when its device is configured, at most 10 s later.
func (p *Program) Start(ctx context.Context, c Config) (*Instance, error) {
	ready, readyEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	exitEnd, exit, err := os.Pipe() // its end, also by our death, ends the process
	if err != nil {
		readyEnd.Close()
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.Command(p.Path, p.arguments(&c)...)
	cmd.Stderr, cmd.ExtraFiles = &said, []*os.File{readyEnd, exitEnd}
	err = cmd.Start()
	readyEnd.Close()
	exitEnd.Close()
	if err != nil {
		exit.Close()
		return nil, explain("", err)
	}
	i := &Instance{cmd: cmd, exit: exit, ids: map[slirp.Published]int{}, sock: c.socket(), Endpoint: endpoint(&c), Resolver: netip.MustParseAddr(guestDNS)}
	ready.SetReadDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // pipes have deadlines
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		i.Close()
		return nil, explain(said.String(), err)
	}
	if i.ports, err = driver.NewParentDriver(io.Discard, i.sock); err != nil {
		i.Close()
		return nil, err
	}
	return i, ctx.Err()
}

func endpoint(c *Config) slirp.Endpoint {
	return slirp.Endpoint{ID: slirp.NewID(), Container: c.Container, Interface: c.Interface, IPv4: netip.MustParsePrefix(guestAddress), Gateway: netip.MustParseAddr(guestGateway), MTU: c.MTU}
}

// Publish publishes ports and returns what is bound. Errors are those of publish.Open: each address is tried first, since
// slirp4netns does not say why it cannot have it.
func (i *Instance) Publish(ctx context.Context, specs []slirp.PortSpec) ([]slirp.Published, error) {
	var done []slirp.Published
	for _, spec := range specs {
		if !spec.HostIP.IsValid() {
			spec.HostIP = netip.IPv4Unspecified()
		}
		if !spec.HostIP.Is4() {
			return done, errNoIPv6Ports
		}
		l, err := publish.Open(spec)
		if err != nil {
			return done, err
		}
		publish.Close(l)
		for _, x := range only4(l) {
			st, err := i.ports.AddPort(ctx, port.Spec{Proto: string(x.Port.Proto), ParentIP: x.Host.Addr().String(), ParentPort: int(x.Host.Port()), ChildPort: int(x.Port.Number)})
			if err != nil {
				return done, fmt.Errorf("publishing %s by slirp4netns: %w", x.Published, err)
			}
			i.ids[x.Published] = st.ID
			i.Endpoint.Ports = append(i.Endpoint.Ports, x.Published)
			done = append(done, x.Published)
		}
	}
	return done, nil
}

// Unpublish ends one published port.
func (i *Instance) Unpublish(ctx context.Context, p slirp.Published) error {
	id, ok := i.ids[p]
	if !ok {
		return fmt.Errorf("port %s: %w", p, slirp.ErrNotFound)
	}
	delete(i.ids, p)
	return i.ports.RemovePort(ctx, id)
}

// Close ends the process and its ports.
func (i *Instance) Close() error {
	i.exit.Close()
	done := make(chan error, 1)
	go func() { done <- i.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		i.cmd.Process.Kill() //nolint:errcheck // it has ended then
		<-done
	}
	return os.RemoveAll(i.sock)
}
