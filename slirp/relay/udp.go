package relay

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

const (
	udpLife    = 90 * time.Second
	udpSweep   = 15 * time.Second
	maxOrigins = 8192
	batchLen   = 16
)

// udp carries the datagrams of one gateway.
//
//	container src:port ──first datagram──> transparent socket of the gateway ──┐
//	                   ──the rest────────> peer.inner (bound to the remote) ───┴─> origin.outer ──> world
//	                   <───────────────── peer.inner <──────────────────────────── origin.outer <── world
type udp struct {
	*Relay
	origins map[netip.AddrPort]*origin
	batch   *sys.Batch // room for one turn of any of the sockets; made when first needed
	sweep   *reactor.Timer
}

// origin is a container's address and port; its outer socket is the same whatever it sends to.
type origin struct {
	udp   *udp
	src   netip.AddrPort
	outer int
	peers map[netip.AddrPort]*peer // by the address used outside
	last  time.Time
}

// peer is one remote address of an origin.
type peer struct {
	origin *origin
	remote netip.AddrPort // as the container knows it
	to     netip.AddrPort // outside
	inner  int            // in the gateway: bound to remote, connected to the origin
	told   bool           // of a small path MTU
}

func newUDP(r *Relay) *udp { return &udp{Relay: r, origins: map[netip.AddrPort]*origin{}} }

func (u *udp) room() *sys.Batch {
	if u.batch == nil {
		u.batch = sys.NewBatch(batchLen, 65536)
	}
	return u.batch
}

// first takes datagrams that have no socket of their own yet.
func (u *udp) first(fd int) {
	b := u.room()
	for {
		n, err := b.Recv(fd)
		if err == syscall.EAGAIN || err == syscall.EBADF {
			return
		}
		for i := range n {
			src, dst := b.From(i), original(b.Control(i))
			if p := u.peer(src, dst); p != nil {
				p.origin.send(p, b.Data(i))
			}
		}
	}
}

// original reads where a datagram was going (IP_RECVORIGDSTADDR, ip(7)).
func original(_, kind int, data []byte) netip.AddrPort {
	switch {
	case kind == sys.IPOrigDst && len(data) >= 8:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(data[4:8])), binary.BigEndian.Uint16(data[2:]))
	case kind == sys.IP6OrigDst && len(data) >= 24:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(data[8:24])), binary.BigEndian.Uint16(data[2:]))
	}
	return netip.AddrPort{}
}

// peer finds or makes the way from src to dst; nil when there is none.
func (u *udp) peer(src, dst netip.AddrPort) *peer {
	if !u.inSubnet(src.Addr()) {
		return nil
	}
	to, ok := u.policy.Load().Outside(dst)
	if !ok || dst.Port() == 0 {
		u.refuse(src, dst, 0, reasonOf(syscall.ENETUNREACH))
		return nil
	}
	o, err := u.origin(src, to.Addr())
	if err != nil {
		return nil
	}
	if p := o.peers[to]; p != nil {
		return p
	}
	p := &peer{origin: o, remote: dst, to: to}
	if err := p.open(); err != nil {
		return nil
	}
	o.peers[to] = p
	return p
}

func (u *udp) inSubnet(a netip.Addr) bool {
	for _, s := range u.gw.Network.Subnets {
		if s.Subnet.Contains(a) {
			return true
		}
	}
	return false
}

// refuse tells a container that a datagram did not arrive. Multicast and broadcast are never answered (RFC 1122, 3.2.2).
func (u *udp) refuse(src, dst netip.AddrPort, size int, why reason) {
	if a := dst.Addr(); a.IsValid() && !a.IsMulticast() && !a.IsUnspecified() && a.As16()[15] != 255 && a.Is4() == src.Addr().Is4() {
		u.answer(unreachable(src.Addr(), a, datagram(src, dst, size), why))
	}
}

func (u *udp) origin(src netip.AddrPort, towards netip.Addr) (*origin, error) {
	if o := u.origins[src]; o != nil {
		return o, nil
	}
	if len(u.origins) >= maxOrigins {
		return nil, syscall.ENOBUFS
	}
	fd, err := sys.Socket(sys.Family(towards), syscall.SOCK_DGRAM, 0)
	if err != nil {
		return nil, err
	}
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2<<20) //nolint:errcheck // net.core.rmem_max bounds it
	reportErrors(fd, towards)
	o := &origin{udp: u, src: src, outer: fd, peers: map[netip.AddrPort]*peer{}, last: time.Now()}
	if err := u.loop.Add(fd, sys.EpollIn, reactor.Func(o.ready)); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	u.origins[src] = o
	if u.sweep == nil {
		u.sweep = u.loop.After(udpSweep, u.endOld)
	}
	return o, nil
}

// reportErrors makes the kernel keep what the network answers, and never fragment: the container hears of a small MTU.
func reportErrors(fd int, a netip.Addr) {
	level, recvErr, discover := syscall.IPPROTO_IP, sys.IPRecvErr, sys.IPMTUDiscover
	if a.Is6() {
		level, recvErr, discover = syscall.IPPROTO_IPV6, sys.IP6RecvErr, sys.IP6MTUDiscover
	}
	syscall.SetsockoptInt(fd, level, recvErr, 1)               //nolint:errcheck // then errors are only lost
	syscall.SetsockoptInt(fd, level, discover, sys.PMTUDiscDo) //nolint:errcheck // then packets are fragmented
}

// open makes the socket that is the remote for the container.
func (p *peer) open() error {
	u := p.origin.udp
	fd, err := u.gw.Socket(sys.Family(p.remote.Addr()), syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, sys.SORcvBufForce, 2<<20) //nolint:errcheck // the default works
	err = gateway.BindForeign(fd, p.remote)
	if err == nil {
		err = sys.Connect(fd, p.origin.src)
	}
	if err == nil {
		err = u.loop.Add(fd, sys.EpollIn, reactor.Func(func(uint32) { p.ready() }))
	}
	if err != nil {
		syscall.Close(fd)
		return err
	}
	p.inner = fd
	return nil
}

// ready carries the container's datagrams out.
func (p *peer) ready() {
	b := p.origin.udp.room()
	for {
		n, err := b.Recv(p.inner)
		if err == syscall.EAGAIN || err == syscall.EBADF {
			return
		}
		if n == 0 {
			continue // the container refused one: reported once and gone
		}
		p.origin.last = time.Now()
		for at := 0; at < n; {
			at, err = b.Send(p.origin.outer, at, n, p.to)
			if err != nil {
				p.origin.lost(p, b.Data(at), err)
				at++
			}
		}
	}
}

func (o *origin) send(p *peer, data []byte) {
	o.last = time.Now()
	if err := sys.SendTo(o.outer, data, p.to); err != nil {
		o.lost(p, data, err)
	}
}

// lost handles a datagram that the kernel did not take.
func (o *origin) lost(p *peer, data []byte, err error) {
	switch err {
	case syscall.EMSGSIZE:
		o.tooBig(p, data)
	case syscall.ECONNREFUSED:
		o.faults()                      // an earlier datagram's: this one goes again
		sys.SendTo(o.outer, data, p.to) //nolint:errcheck // datagrams get lost
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.EPERM:
		o.udp.refuse(o.src, p.remote, len(data), reasonOf(err.(syscall.Errno)))
	}
}

// tooBig handles a datagram that is larger than the path's MTU. One that is larger than the container's own MTU was
// fragmented there and is so here. Of the others the container hears once, as from a router; since it may fragment from
// then on, and the relay sees datagrams whole, none is lost for that.
func (o *origin) tooBig(p *peer, data []byte) {
	mtu := o.faults()
	header := 28
	if p.to.Addr().Is6() {
		header = 48
	}
	if len(data)+header <= o.udp.gw.Network.MTU() && mtu > 0 && !p.told {
		p.told = true
		o.udp.refuse(o.src, p.remote, len(data), tooBig(mtu))
	}
	o.sendFragmented(p, data)
}

func (o *origin) sendFragmented(p *peer, data []byte) {
	level, discover := syscall.IPPROTO_IP, sys.IPMTUDiscover
	if p.to.Addr().Is6() {
		level, discover = syscall.IPPROTO_IPV6, sys.IP6MTUDiscover
	}
	syscall.SetsockoptInt(o.outer, level, discover, sys.PMTUDiscWant) //nolint:errcheck // then it is lost
	sys.SendTo(o.outer, data, p.to)                                   //nolint:errcheck // datagrams get lost
	syscall.SetsockoptInt(o.outer, level, discover, sys.PMTUDiscDo)   //nolint:errcheck // likewise
}

// ready carries answers in, from those addresses only to which the container has sent.
func (o *origin) ready(events uint32) {
	if events&sys.EpollErr != 0 {
		o.faults()
	}
	b := o.udp.room()
	for {
		n, err := b.Recv(o.outer)
		if err == syscall.EAGAIN || err == syscall.EBADF {
			return
		}
		if n > 0 {
			o.last = time.Now()
		}
		for at := 0; at < n; {
			end := at + 1
			for end < n && b.From(end) == b.From(at) {
				end++
			}
			if p := o.peers[b.From(at)]; p != nil {
				b.Send(p.inner, at, end, netip.AddrPort{}) //nolint:errcheck // datagrams get lost
			}
			at = end
		}
	}
}

// faults tells the container what the network has answered. A path's MTU is returned, 0 if there was none: the datagram
// that met it is lost, the next one is refused by the kernel here.
func (o *origin) faults() (mtu int) {
	buf := make([]byte, 64)
	for {
		f, err := sys.TakeFault(o.outer, buf)
		if err != nil {
			return mtu
		}
		p := o.peers[f.To]
		switch {
		case f.Errno == syscall.EMSGSIZE:
			mtu = f.MTU
		case p == nil:
		case f.Errno == syscall.ECONNREFUSED, f.Errno == syscall.EHOSTUNREACH, f.Errno == syscall.ENETUNREACH, f.Errno == syscall.EACCES:
			o.udp.refuse(o.src, p.remote, 0, reasonOf(f.Errno))
		}
	}
}

func (u *udp) endOld() {
	u.sweep = nil
	for _, o := range u.origins {
		if time.Since(o.last) >= udpLife {
			u.end(o)
		}
	}
	if len(u.origins) > 0 {
		u.sweep = u.loop.After(udpSweep, u.endOld)
	} else {
		u.batch = nil
	}
}

func (u *udp) end(o *origin) {
	delete(u.origins, o.src)
	u.loop.RemoveAndClose(o.outer)
	for _, p := range o.peers {
		u.loop.RemoveAndClose(p.inner)
	}
}

func (u *udp) stop() {
	u.loop.Stop(u.sweep)
	for _, o := range u.origins {
		u.end(o)
	}
}
