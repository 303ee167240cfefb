package engine

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/program"
)

// programMTU is the largest that slirp4netns and pasta take: both are several times faster with it than with 1500.
const programMTU = 65520

// ownBackend is the name of moss's network in --net-backend: the best rung that works.
const ownBackend = "moss"

// backends are the names that --net-backend and the configuration take.
func backends() []string {
	out := []string{ownBackend}
	for _, b := range slirp.Backends() {
		out = append(out, b.Name)
	}
	return out
}

// byProgram tells whether a backend is an installed program's.
func byProgram(backend string) bool { return backend == "slirp4netns" || backend == "pasta" }

// checkBackend decides the backend of a container: what is asked for, else what is configured for the default network.
func (e *Engine) checkBackend(h *spec.Host, n *slirp.Network) error {
	asked := h.Backend
	h.Backend = cmp.Or(asked, e.Config.NetBackend)
	if h.Backend != "" && !slices.Contains(backends(), h.Backend) {
		return hint("choose one of "+strings.Join(backends(), ", "), "network backend %q is not known", h.Backend)
	}
	if !byProgram(h.Backend) || n.Name == slirp.NameBridge {
		return nil
	}
	if asked == "" {
		h.Backend = "" // configured for the default network; only moss's own has others
		return nil
	}
	return hint("leave --net-backend away, or --network", "network %s: with --net-backend %s a container has a network of its own and reaches no other container", n.Name, asked)
}

// rung is the wish for a way of moss's own network.
func rung(backend string) string {
	if backend == ownBackend || byProgram(backend) {
		return ""
	}
	return backend
}

// attachProgram has an installed program carry the network of a container.
func (e *Engine) attachProgram(ctx context.Context, c *sandbox.Snapshot, pid int, backend string, w *wish) (*Attachment, error) {
	ns, err := e.Namespace()
	if err != nil {
		return nil, err
	}
	a, err := program.Ask(ctx, ns, program.Call{
		Op: program.Start, Backend: backend, Container: c.ID, PID: pid, Dir: e.Dirs.Run, MTU: programMTU, Ports: w.config.Ports,
		HostLoopback: w.network.Option(slirp.OptHostLoopback), IPv6: w.network.IPv6,
	})
	if err != nil {
		return nil, connectError(w, c, err)
	}
	a.Endpoint.Network, a.Endpoint.Ports = w.network.ID, a.Ports
	at := w.attachment(a.Endpoint)
	at.Carrier = &a.Carrier
	if err := setResolver(c, a.Resolver); err != nil {
		return nil, errors.Join(err, at.Carrier.End())
	}
	return &at, nil
}

// attachFallback has an installed program carry the default network where this kernel cannot make moss's own. why is what
// moss's own failed with.
func (e *Engine) attachFallback(ctx context.Context, c *sandbox.Snapshot, pid int, w *wish, why error) (*Attachment, error) {
	if c.Spec.Host.Backend != "" || w.network.Name != slirp.NameBridge {
		return nil, why
	}
	for _, backend := range []string{"pasta", "slirp4netns"} {
		at, err := e.attachProgram(ctx, c, pid, backend, w)
		if err == nil {
			return at, nil
		}
		why = errors.Join(why, err)
	}
	return nil, hint("use --network host or --network none, or have the administrator load the kernel modules veth and bridge", "this machine has nothing that could carry a network: %w", why)
}

// setResolver puts the program's resolver, or those asked for, in the place of moss's own, which does not answer here.
func setResolver(c *sandbox.Snapshot, resolver netip.Addr) error {
	path := c.Path("etc/resolv.conf")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a volume stands in its place
	}
	if err != nil {
		return err
	}
	servers := c.Spec.Host.DNS
	if len(servers) == 0 {
		servers = []string{resolver.String()}
	}
	ours := "nameserver " + slirp.DNSAddress + "\n"
	text := strings.Replace(string(b), ours, "nameserver "+strings.Join(servers, "\nnameserver ")+"\n", 1)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// changeProgram publishes ports of a container whose network an installed program carries, or takes some back.
func (e *Engine) changeProgram(ctx context.Context, a *Attachment, q program.Call) ([]slirp.Published, error) {
	ns, err := e.Namespace()
	if err != nil {
		return nil, err
	}
	q.Backend, q.Carrier = a.Carrier.Backend, a.Carrier
	got, err := program.Ask(ctx, ns, q)
	if err != nil {
		return nil, err
	}
	a.Carrier = &got.Carrier
	return got.Ports, nil
}

// onlyOwn refuses a second network where an installed program carries the first.
func onlyOwn(c *sandbox.Snapshot) error {
	if !byProgram(c.Spec.Host.Backend) {
		return nil
	}
	return hint("run the container without --net-backend", "container %s has its network from %s and can be on no other", c.Spec.Name, c.Spec.Host.Backend)
}

// missingPort is what unpublish says of a port that is not published.
func missingPort(c *sandbox.Snapshot) error {
	return &sentence{"container " + c.Spec.Name + " publishes no such port", slirp.ErrNotFound}
}
