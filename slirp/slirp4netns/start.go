package slirp4netns

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
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

// Instance is the running process of one container. It lives until it is closed, also beyond the process that has started
// it: Resume finds it again.
type Instance struct {
	Endpoint slirp.Endpoint
	Resolver netip.Addr // for the container's resolv.conf
	PID      int
	Socket   string
	IDs      map[slirp.Published]int // by which slirp4netns knows its ports

	ended chan error // of a child
	ports port.ParentDriver
}

// Resume speaks to the process that another one has started.
func Resume(pid int, socket string, ids map[slirp.Published]int) (*Instance, error) {
	ports, err := driver.NewParentDriver(io.Discard, socket)
	return &Instance{PID: pid, Socket: socket, IDs: ids, ports: ports}, err
}

// Start starts slirp4netns for a container and returns when its device is configured, at most 10 s later.
func (p *Program) Start(ctx context.Context, c Config) (*Instance, error) {
	ready, readyEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	said, err := os.CreateTemp(c.Dir, "s4n-*.said") // a file and no pipe: its reader may be gone before the program
	if err != nil {
		readyEnd.Close()
		return nil, err
	}
	defer said.Close()
	os.Remove(said.Name()) //nolint:errcheck // it has no name from now on
	cmd := exec.Command(p.Path, p.arguments(&c)...)
	cmd.Stderr, cmd.ExtraFiles = said, []*os.File{readyEnd}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	readyEnd.Close()
	if err != nil {
		return nil, explain("", err)
	}
	i, err := Resume(cmd.Process.Pid, c.socket(), map[slirp.Published]int{})
	if err != nil {
		return nil, err
	}
	i.Endpoint, i.Resolver, i.ended = endpoint(&c), netip.MustParseAddr(guestDNS), make(chan error, 1)
	go func() { i.ended <- cmd.Wait() }()
	ready.SetReadDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // pipes have deadlines
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		i.Close()
		return nil, explain(wholeOf(said), err)
	}
	return i, ctx.Err()
}

// wholeOf reads what a program has written into a file.
func wholeOf(f *os.File) string {
	b := make([]byte, 16<<10)
	n, _ := f.ReadAt(b, 0) // io.EOF
	return string(b[:n])
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
			i.IDs[x.Published] = st.ID
			i.Endpoint.Ports = append(i.Endpoint.Ports, x.Published)
			done = append(done, x.Published)
		}
	}
	return done, nil
}

// Unpublish ends one published port.
func (i *Instance) Unpublish(ctx context.Context, p slirp.Published) error {
	id, ok := i.IDs[p]
	if !ok {
		return fmt.Errorf("port %s: %w", p, slirp.ErrNotFound)
	}
	delete(i.IDs, p)
	return i.ports.RemovePort(ctx, id)
}

// Close ends the process and its ports.
func (i *Instance) Close() error {
	err := syscall.Kill(i.PID, syscall.SIGTERM)
	if i.ended != nil {
		select {
		case <-i.ended:
		case <-time.After(2 * time.Second):
			syscall.Kill(i.PID, syscall.SIGKILL) //nolint:errcheck // it has ended then
			<-i.ended
		}
	}
	os.Remove(i.Socket) //nolint:errcheck // the program may have done it
	if err != nil && err != syscall.ESRCH {
		return fmt.Errorf("ending slirp4netns: %w", err)
	}
	return nil
}
