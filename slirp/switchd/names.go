package switchd

import (
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/userns/sys"
)

// names are what the containers of a network call each other. A new value replaces the old one, so that the loops read
// without a lock.
type names struct {
	addrs map[string][]netip.Addr
	owner map[netip.Addr]string
}

// rename makes the network's names anew from its members.
func (n *network) rename() {
	t := &names{addrs: map[string][]netip.Addr{}, owner: map[netip.Addr]string{}}
	if n.value.Named() {
		for _, e := range n.members {
			t.add(e, n.value.Name)
		}
	}
	n.names.Store(t)
}

func (t *names) add(e *endpoint, network string) {
	var list []netip.Addr
	for _, p := range []netip.Prefix{e.value.IPv4, e.value.IPv6} {
		if p.IsValid() {
			list = append(list, p.Addr())
			t.owner[p.Addr()] = e.config.Name + "." + network
		}
	}
	for _, name := range e.config.Names() {
		name = strings.ToLower(name)
		t.addrs[name] = append(t.addrs[name], list...)
		t.addrs[name+"."+strings.ToLower(network)] = append(t.addrs[name+"."+strings.ToLower(network)], list...)
	}
}

// view is a container's dns.View.
type view struct {
	service  *service
	networks atomic.Pointer[[]*network]
	servers  atomic.Pointer[[]netip.Addr] // --dns; empty: the host's
}

// store notes the networks and settings that the container has now.
func (v *view) store(box *container) {
	var nets []*network
	var servers []netip.Addr
	for _, e := range box.endpoints {
		nets = append(nets, e.net)
		if len(servers) == 0 {
			servers = e.config.DNS
		}
	}
	v.networks.Store(&nets)
	v.servers.Store(&servers)
}

func (v *view) nets() []*network {
	if p := v.networks.Load(); p != nil {
		return *p
	}
	return nil
}

// Lookup finds a name of the container's networks, and the host's two names.
func (v *view) Lookup(name string) ([]netip.Addr, bool) {
	if name == "host.docker.internal" || name == "gateway.docker.internal" {
		return v.host(), true
	}
	for _, n := range v.nets() {
		if list, ok := n.names.Load().addrs[name]; ok {
			return list, true
		}
	}
	return nil, false
}

// Reverse finds the name of an address.
func (v *view) Reverse(a netip.Addr) (string, bool) {
	for _, n := range v.nets() {
		if name, ok := n.names.Load().owner[a]; ok {
			return name, true
		}
	}
	return "", false
}

// Servers returns the container's own resolvers, else the host's; none on internal networks.
func (v *view) Servers() []netip.Addr {
	internal := true
	for _, n := range v.nets() {
		internal = internal && n.value.Internal
	}
	if internal {
		return nil
	}
	if p := v.servers.Load(); p != nil && len(*p) > 0 {
		return *p
	}
	return v.service.resolvers.now()
}

// host returns where the container finds the host: at the gateway where that leads to the host's loopback, else at the
// address by which the host itself goes out.
func (v *view) host() []netip.Addr {
	for _, n := range v.nets() {
		if sub, ok := n.value.IPv4(); ok && n.value.Option(slirp.OptHostLoopback) {
			return []netip.Addr{sub.Gateway}
		}
	}
	if a, ok := HostAddress(); ok {
		return []netip.Addr{a}
	}
	return nil
}

// HostAddress returns the IPv4 address by which the calling thread's network namespace goes out. Nothing is sent: a UDP
// socket is only connected.
func HostAddress() (netip.Addr, bool) {
	fd, err := sys.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return netip.Addr{}, false
	}
	defer syscall.Close(fd)
	if err := sys.Connect(fd, netip.MustParseAddrPort("192.0.2.1:9")); err != nil { // TEST-NET-1, RFC 5737
		return netip.Addr{}, false
	}
	a, err := sys.Sockname(fd)
	return a.Addr(), err == nil && !a.Addr().IsLoopback()
}

// resolvers knows the host's resolvers at the time of the question. It is used in the host's loop only.
type resolvers struct {
	path   string
	stamp  stamp
	server []netip.Addr
}

type stamp struct {
	ino  uint64
	size int64
	time syscall.Timespec
}

// now reads the file again when it has changed.
func (r *resolvers) now() []netip.Addr {
	var st syscall.Stat_t
	if err := syscall.Stat(r.path, &st); err != nil {
		return nil
	}
	s := stamp{st.Ino, st.Size, st.Mtim}
	if s == r.stamp {
		return r.server
	}
	text, err := os.ReadFile(r.path)
	if err != nil {
		return nil
	}
	r.stamp, r.server = s, nil
	for _, a := range slirp.ParseResolver(string(text)).Servers {
		if a.Zone() == "" {
			r.server = append(r.server, a.Unmap())
		}
	}
	return r.server
}
