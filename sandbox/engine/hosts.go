package engine

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

// addHosts adds to a container's hosts file, which the birth has written anew, where it finds the machine, the containers
// that it is linked to, and its own addresses on its first network.
func addHosts(c *sandbox.Snapshot, at *Attachment, n *slirp.Network, links string) error {
	lines := gatewayLines(c.Spec.Host.ExtraHosts, at, n) + links + hostLines(c.Spec.Host.Hostname, c.Spec.Config.Domainname, []Attachment{*at})
	return editHosts(c, func(text string) string { return text + lines })
}

// moveHosts has the hosts file of a running container name another network's addresses as its own. Either may be nil.
func moveHosts(c *sandbox.Snapshot, from, to *Attachment) error {
	own := func(a *Attachment) string {
		if a == nil {
			return ""
		}
		return hostLines(c.Spec.Host.Hostname, c.Spec.Config.Domainname, []Attachment{*a})
	}
	return editHosts(c, func(text string) string {
		if old := own(from); old != "" {
			text = strings.Replace(text, old, "", 1)
		}
		return text + own(to)
	})
}

// editHosts changes the hosts file in place: it is mounted.
func editHosts(c *sandbox.Snapshot, edit func(string) string) error {
	f, err := os.OpenFile(c.Path("etc/hosts"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a volume stands in its place
	}
	if err != nil {
		return err
	}
	b, err := os.ReadFile(f.Name())
	if err == nil {
		text := edit(string(b))
		_, err = f.WriteAt([]byte(text), 0)
		err = errors.Join(err, f.Truncate(int64(len(text))))
	}
	return errors.Join(err, f.Close())
}

// gatewayLines are the lines of --add-host NAME:host-gateway.
func gatewayLines(extra []string, at *Attachment, n *slirp.Network) string {
	var b strings.Builder
	for _, h := range extra {
		name, addr, _ := strings.Cut(strings.Replace(h, "=", ":", 1), ":")
		if addr != spec.HostGateway {
			continue
		}
		if a, ok := hostFrom(at, n); ok {
			b.WriteString(a.String() + "\t" + name + "\n")
		}
	}
	return b.String()
}

// hostFrom is where a container finds the machine: at the gateway where that leads to the machine's loopback, else at the
// address by which the machine itself goes out. The names host.docker.internal and gateway.docker.internal lead there, too.
func hostFrom(at *Attachment, n *slirp.Network) (netip.Addr, bool) {
	if n.Option(slirp.OptHostLoopback) && at.Gateway.IsValid() {
		return at.Gateway, true
	}
	return switchd.HostAddress()
}

// hostLines are the lines of /etc/hosts that name the container itself.
func hostLines(host, domain string, at []Attachment) string {
	names := host
	if domain != "" {
		names = host + "." + domain + " " + host
	} else if short, _, has := strings.Cut(host, "."); has {
		names = host + " " + short
	}
	var b strings.Builder
	for _, a := range at {
		if a.IPv4.IsValid() {
			b.WriteString(a.IPv4.Addr().String() + "\t" + names + "\n")
		}
		if a.IPv6.IsValid() {
			b.WriteString(a.IPv6.Addr().String() + "\t" + names + "\n")
		}
	}
	return b.String()
}
