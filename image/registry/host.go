package registry

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Docker Hub's three names: in references, in config.json, on the wire.
const (
	hubName   = "docker.io"
	hubKey    = "https://index.docker.io/v1/"
	hubHost   = "registry-1.docker.io"
	hubSearch = "index.docker.io"
)

// Schemes of an endpoint, in the order in which they are tried.
var (
	onlyHTTPS     = []string{"https"}
	onlyHTTP      = []string{"http"}
	httpsThenHTTP = []string{"https", "http"}
)

// endpoint is one host that serves the repositories of a registry.
type endpoint struct {
	registry string   // as in references: "docker.io", "localhost:5000"
	host     string   // host[:port] on the wire
	schemes  []string // one of the three lists above
	insecure bool     // certificates are not verified, credentials may travel in the clear
	mirror   bool     // stands before the real one; failures fall through to it
	uploads  bool     // answers may take long: a registry may copy a whole layer before it confirms it
	trouble  error    // why stored credentials could not be read; we go on without
}

// endpoints lists who can serve a registry's images, best first.
func (c *Client) endpoints(ctx context.Context, registry string) ([]endpoint, error) {
	registry = canonicalRegistry(registry)
	var list []endpoint
	for _, mirror := range c.config.mirrors(registry) {
		u, err := parseMirror(mirror)
		if err != nil {
			return nil, err
		}
		list = append(list, c.endpointFor(ctx, registry, u, true))
	}
	own, err := c.upstream(ctx, registry)
	return append(list, own), err
}

func (c Config) mirrors(registry string) []string {
	list := slices.Clone(c.MirrorsOf[registry])
	if registry == hubName {
		list = append(list, c.Mirrors...)
	}
	return list
}

// upstream is the registry itself: the one that takes pushes and logins.
func (c *Client) upstream(ctx context.Context, registry string) (endpoint, error) {
	registry = canonicalRegistry(registry)
	u := &url.URL{Host: registry}
	if registry == hubName {
		u.Host = hubHost
		if standIn := c.config.DockerIO; standIn != "" {
			var err error
			if u, err = parseStandIn(standIn); err != nil {
				return endpoint{}, err
			}
		}
	}
	return c.endpointFor(ctx, registry, u, false), nil
}

func (c *Client) endpointFor(ctx context.Context, registry string, u *url.URL, mirror bool) endpoint {
	e := endpoint{registry: registry, host: u.Host, mirror: mirror, schemes: onlyHTTPS}
	e.insecure = u.Scheme == "http" || c.isInsecure(ctx, u.Host)
	switch {
	case u.Scheme == "http":
		e.schemes = onlyHTTP
	case e.insecure && u.Scheme == "":
		e.schemes = httpsThenHTTP
	}
	return e
}

func parseStandIn(s string) (*url.URL, error) {
	if strings.Contains(s, "://") {
		return parseMirror(s)
	}
	u, err := url.Parse("//" + s)
	if err != nil || u.Host != s {
		return nil, fmt.Errorf("%s %q: want a URL or host[:port]", EnvDockerIO, s)
	}
	return u, nil
}

// canonicalRegistry folds the names of Docker Hub into one.
func canonicalRegistry(s string) string {
	switch s {
	case "", hubName, "index.docker.io", hubHost, "registry.hub.docker.com":
		return hubName
	}
	return s
}

// isInsecure follows Docker's rule: 127.0.0.0/8, ::1 and localhost always are, everything else only where the user says so, by
// name, by name and port, or by network. Private networks are not: go-containerregistry would have them spoken to in the clear.
// Names are resolved only against networks the user listed.
func (c *Client) isInsecure(ctx context.Context, host string) bool {
	name := hostname(host)
	if classOfName(name) == loopback {
		return true
	}
	var nets []netip.Prefix
	for _, entry := range c.config.Insecure {
		if entry == host || entry == name {
			return true
		}
		if p, err := netip.ParsePrefix(entry); err == nil {
			nets = append(nets, p)
		}
	}
	return len(nets) > 0 && anyContains(nets, c.addresses(ctx, name))
}

func checkInsecureEntry(entry string) error {
	if strings.Contains(entry, "://") {
		return fmt.Errorf("insecure registry %q: give host, host:port or network, without a scheme", entry)
	}
	if strings.Contains(entry, "/") {
		if _, err := netip.ParsePrefix(entry); err != nil {
			return fmt.Errorf("insecure registry %q: %w", entry, err)
		}
	}
	return nil
}

func (c *Client) addresses(ctx context.Context, name string) []netip.Addr {
	if a, ok := parseAddress(name); ok {
		return []netip.Addr{a}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addrs, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", name) // an unknown name is in no network
	return addrs
}

func anyContains(nets []netip.Prefix, addrs []netip.Addr) bool {
	for _, n := range nets {
		for _, a := range addrs {
			if n.Contains(a.Unmap()) {
				return true
			}
		}
	}
	return false
}

func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }
