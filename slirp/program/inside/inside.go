package inside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/pasta"
	"github.com/moss-sandbox/moss/slirp/program"
	"github.com/moss-sandbox/moss/slirp/slirp4netns"
	"github.com/moss-sandbox/moss/slirp/switchd"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/role"
)

// Run serves one call.
func Run(ctx context.Context, inv *role.Invocation) error {
	var q program.Call
	if err := inv.Decode(&q); err != nil {
		return err
	}
	a := &program.Answer{}
	if err := serve(ctx, &q, a); err != nil {
		a.Fault = fault(err)
	}
	return json.NewEncoder(inv.Files[0]).Encode(a)
}

func fault(err error) *program.Fault {
	f := &program.Fault{Text: err.Error()}
	var hinted interface{ Hints() []string }
	if errors.As(err, &hinted) {
		f.Tips = hinted.Hints()
	}
	errors.As(err, &f.Port)
	return f
}

func serve(ctx context.Context, q *program.Call, a *program.Answer) error {
	switch {
	case q.Op == program.Start:
		if err := prepare(q.PID); err != nil {
			return err
		}
		if q.Backend == "pasta" {
			return startPasta(ctx, q, a)
		}
		return startSlirp(ctx, q, a)
	case q.Carrier == nil:
		return errors.New("internal error: no process that carries the network")
	case q.Backend == "pasta":
		return &fixedPorts{}
	}
	return changePorts(ctx, q, a)
}

// prepare sets what every container's network has: ping without a capability, every port open to everybody.
func prepare(pid int) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer ns.Close()
	return gateway.Prepare(int(ns.Fd()), func() error { return nil })
}

func startSlirp(ctx context.Context, q *program.Call, a *program.Answer) error {
	p, err := slirp4netns.Find()
	if err != nil {
		return err
	}
	i, err := p.Start(ctx, slirp4netns.Config{
		Container: q.Container, NetNS: namespace(q.PID, "net"), UserNS: namespace(q.PID, "user"), Dir: q.Dir, Interface: "eth0", MTU: q.MTU,
		HostLoopback: q.HostLoopback, IPv6: q.IPv6, NoSandbox: true, // it would mount, which the namespace's root may not everywhere
	})
	if err != nil {
		return err
	}
	ports, err := i.Publish(ctx, q.Ports)
	if err == nil {
		a.Carrier.Process, err = userns.Observe(i.PID)
	}
	if err != nil {
		return errors.Join(err, i.Close())
	}
	a.Endpoint, a.Resolver, a.Ports = i.Endpoint, i.Resolver, ports
	a.Carrier.Backend, a.Carrier.Socket, a.Carrier.Files, a.Carrier.Ports = q.Backend, i.Socket, []string{i.Socket}, forwards(i)
	return nil
}

// changePorts publishes more ports of a running container, or takes some back.
func changePorts(ctx context.Context, q *program.Call, a *program.Answer) (err error) {
	a.Carrier = *q.Carrier
	ids := map[slirp.Published]int{}
	for _, f := range q.Carrier.Ports {
		ids[f.Port] = f.ID
	}
	i, err := slirp4netns.Resume(q.Carrier.Process.PID, q.Carrier.Socket, ids)
	if err != nil {
		return err
	}
	if q.Op == program.Publish {
		a.Ports, err = i.Publish(ctx, q.Ports)
	}
	for _, p := range q.Gone {
		err = errors.Join(err, i.Unpublish(ctx, p))
	}
	a.Carrier.Ports = forwards(i)
	return err
}

func forwards(i *slirp4netns.Instance) (out []program.Forward) {
	for p, id := range i.IDs {
		out = append(out, program.Forward{Port: p, ID: id})
	}
	return out
}

func startPasta(ctx context.Context, q *program.Call, a *program.Answer) error {
	p, err := pasta.Find()
	if err != nil {
		return err
	}
	i, err := p.Start(ctx, pasta.Config{
		Container: q.Container, NetNS: namespace(q.PID, "net"), UserNS: namespace(q.PID, "user"), Dir: q.Dir, Interface: "eth0", MTU: q.MTU,
		HostLoopback: q.HostLoopback,
	}, q.Ports)
	if err != nil {
		return err
	}
	if a.Carrier.Process, err = userns.Observe(i.PID); err != nil {
		return errors.Join(err, i.Close())
	}
	a.Endpoint, a.Resolver, a.Ports = i.Endpoint, i.Resolver, i.Endpoint.Ports
	a.Endpoint.IPv4 = hostPrefix()
	a.Carrier.Backend, a.Carrier.Files = q.Backend, []string{i.PIDFile}
	return nil
}

// hostPrefix is the address that pasta gives the container: the host's own.
func hostPrefix() netip.Prefix {
	own, ok := switchd.HostAddress()
	if !ok {
		return netip.Prefix{}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Prefix{}
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == own {
			return p
		}
	}
	return netip.PrefixFrom(own, 32)
}

func namespace(pid int, kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", pid, kind) }

// fixedPorts says that pasta's ports are those that it was started with.
type fixedPorts struct{}

func (*fixedPorts) Error() string {
	return "network backend pasta: ports of a running container cannot be changed"
}
func (*fixedPorts) Unwrap() error { return syscall.EOPNOTSUPP }

// Hints names the way out.
func (*fixedPorts) Hints() []string {
	return []string{"stop the container and run it again with -p, or leave --net-backend away: moss's own network can"}
}
