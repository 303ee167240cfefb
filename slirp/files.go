package slirp

import (
	"net/netip"
	"strings"
)

// DNSAddress is where a container's resolver listens: Docker's address, which many configurations quote.
const DNSAddress = "127.0.0.11"

// HostEntry is one line of /etc/hosts.
type HostEntry struct {
	Addr  netip.Addr
	Names []string
}

// HostsFile returns a container's /etc/hosts in Docker's order: loopback, then extra, then its own names.
func HostsFile(extra []HostEntry, own []HostEntry) string {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")
	for _, list := range [][]HostEntry{extra, own} {
		for _, e := range list {
			b.WriteString(e.Addr.String() + "\t" + strings.Join(e.Names, " ") + "\n")
		}
	}
	return b.String()
}

// Resolver is the content of a resolv.conf(5).
type Resolver struct {
	Servers []netip.Addr
	Search  []string
	Options []string
}

// ParseResolver reads a resolv.conf; lines it does not know are skipped.
func ParseResolver(text string) (r Resolver) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil {
				r.Servers = append(r.Servers, a)
			}
		case "search", "domain":
			r.Search = f[1:]
		case "options":
			r.Options = append(r.Options, f[1:]...)
		}
	}
	return r
}

// Container returns what a container on a moss network gets: moss's resolver, the search list and options of the host
// unless its own are given.
func (r Resolver) Container(search, options []string) Resolver {
	c := Resolver{Servers: []netip.Addr{netip.MustParseAddr(DNSAddress)}, Search: r.Search, Options: []string{"ndots:0"}}
	if len(search) > 0 {
		c.Search = search
	}
	if len(options) > 0 {
		c.Options = options
	}
	if len(c.Search) == 1 && c.Search[0] == "." {
		c.Search = nil
	}
	return c
}

// String prints the file.
func (r Resolver) String() string {
	var b strings.Builder
	for _, a := range r.Servers {
		b.WriteString("nameserver " + a.String() + "\n")
	}
	if len(r.Search) > 0 {
		b.WriteString("search " + strings.Join(r.Search, " ") + "\n")
	}
	if len(r.Options) > 0 {
		b.WriteString("options " + strings.Join(r.Options, " ") + "\n")
	}
	return b.String()
}
