package pasta

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/publish"
)

// Instance is the running process of one container.
type Instance struct {
	Endpoint slirp.Endpoint // IPv4 is the host's own address
	Resolver netip.Addr     // for the container's resolv.conf
	PID      int
	PIDFile  string
}

// Start starts pasta for a container, with its published ports, and returns when its device is configured. Port errors are
// those of publish.Open: each address is tried first, since pasta does not say why it cannot have it.
func (p *Program) Start(ctx context.Context, c Config, specs []slirp.PortSpec) (*Instance, error) {
	ports, err := choose(specs)
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, p.Path, p.arguments(&c, ports)...)
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return nil, explain(said.String(), err)
	}
	i := &Instance{Resolver: netip.MustParseAddr(resolver), PIDFile: c.pidFile()}
	text, err := os.ReadFile(i.PIDFile)
	if err == nil {
		i.PID, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil {
		return nil, fmt.Errorf("starting pasta: reading its pid: %w", err)
	}
	i.Endpoint = slirp.Endpoint{ID: slirp.NewID(), Container: c.Container, Interface: c.Interface, MTU: c.MTU, Ports: ports}
	return i, nil
}

// choose finds the number of each port, free at this moment. pasta listens in both families by itself.
func choose(specs []slirp.PortSpec) (ports []slirp.Published, err error) {
	var open []publish.Listener
	defer func() { publish.Close(open) }()
	for _, s := range specs {
		l, err := publish.Open(s)
		if err != nil {
			return nil, err
		}
		open = append(open, l...)
		ports = append(ports, l[0].Published)
	}
	return slices.Clip(ports), nil
}

// Close ends the process and its ports.
func (i *Instance) Close() error {
	os.Remove(i.PIDFile) //nolint:errcheck // it says nothing any more
	if err := syscall.Kill(i.PID, syscall.SIGTERM); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("ending pasta: %w", err)
	}
	return nil
}
