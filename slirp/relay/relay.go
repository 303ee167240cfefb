package relay

import (
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/pump"
	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Limits of one gateway.
const (
	maxFlights    = 16384 // connections being made
	maxFlightsOne = 4096  // of these, by one address: further SYNs are dropped, they repeat themselves
	flightLife    = 10 * time.Second
)

// Relay serves one gateway from one event loop of the host's network namespace.
type Relay struct {
	gw     *gateway.Gateway
	loop   *reactor.Loop
	pumps  *pump.Env
	policy atomic.Pointer[slirp.Policy]

	flights map[flow]*flight
	bySrc   map[netip.Addr]int
	sweep   *reactor.Timer

	udp     *udp
	ping    *pinger
	journal *journal
	deliver func(src, dst netip.AddrPort, fd int)
}

// Start begins to serve. Must be called in the loop.
func Start(gw *gateway.Gateway, l *reactor.Loop, pumps *pump.Env, p *slirp.Policy) (*Relay, error) {
	r := &Relay{gw: gw, loop: l, pumps: pumps, flights: map[flow]*flight{}, bySrc: map[netip.Addr]int{}}
	r.policy.Store(p)
	r.udp, r.ping = newUDP(r), newPinger(r)
	var err error
	if r.journal, err = openJournal(gw.Sockets.Journal); err != nil {
		return nil, err
	}
	left := r.journal.left()
	for _, fd := range gw.Sockets.TCP {
		if err := r.listen(fd, func(fd int) { r.accept(fd) }); err != nil {
			return nil, err
		}
	}
	for _, fd := range gw.Sockets.UDP {
		if err := r.listen(fd, r.udp.first); err != nil {
			return nil, err
		}
	}
	// Last, when everything that a packet can lead to is there: a SYN given back without a listener would be lost.
	for _, b := range left {
		r.packet(b)
	}
	return r, r.listen(gw.Sockets.Packet, r.packets)
}

func (r *Relay) listen(fd int, ready func(fd int)) error {
	if fd < 0 {
		return nil
	}
	return r.loop.Add(fd, sys.EpollIn, reactor.Func(func(uint32) { ready(fd) }))
}

// SetPolicy replaces what later dials may reach. It may be called from any goroutine.
func (r *Relay) SetPolicy(p *slirp.Policy) { r.policy.Store(p) }

// DeliverTo makes the relay hand over connections that the destination has answered, instead of giving their SYNs back to
// the gateway: f owns fd, and is called in the loop. fd is -1 for one that was refused; the container has been told. It
// is for a gateway without rules, whose SYNs somebody else accepts. Must be called in the loop.
func (r *Relay) DeliverTo(f func(src, dst netip.AddrPort, fd int)) { r.deliver = f }

// Outside asks the policy. It may be called from any goroutine.
func (r *Relay) Outside(to netip.AddrPort) (netip.AddrPort, bool) { return r.policy.Load().Outside(to) }

// RefuseDatagram tells a container what the network has answered to its datagram. It may be called from any goroutine.
func (r *Relay) RefuseDatagram(src, dst netip.AddrPort, errno syscall.Errno) {
	r.answer(unreachable(src.Addr(), dst.Addr(), datagram(src, dst, 0), reasonOf(errno)))
}

// Stop ends serving; the gateway's sockets stay open. Must be called in the loop.
func (r *Relay) Stop() {
	s := &r.gw.Sockets
	for _, fd := range []int{s.Packet, s.TCP[0], s.TCP[1], s.UDP[0], s.UDP[1]} {
		r.loop.Remove(fd)
	}
	for _, f := range r.flights {
		r.forget(f)
		r.loop.RemoveAndClose(f.fd)
	}
	r.loop.Stop(r.sweep)
	r.udp.stop()
	r.ping.stop()
	r.journal.close()
}

// packets reads all waiting frames of the packet socket.
func (r *Relay) packets(fd int) {
	buf := r.loop.Scratch()
	for {
		n, err := sys.Read(fd, buf)
		if err == syscall.EAGAIN || err == syscall.EBADF {
			return
		}
		if err != nil {
			continue // ENETDOWN is reported once and gone
		}
		r.packet(buf[:n])
	}
}

func (r *Relay) packet(b []byte) {
	p, ok := parse(b)
	if !ok || !r.fromContainer(&p) {
		return
	}
	switch {
	case p.isSYN():
		r.syn(&p)
	case p.isEcho():
		r.ping.request(&p)
	}
}

// fromContainer refuses forged sources and what does not leave the network.
func (r *Relay) fromContainer(p *packet) bool {
	for _, s := range r.gw.Network.Subnets {
		if s.Subnet.Contains(p.src.Addr()) {
			return p.src.Addr() != s.Gateway && (!s.Subnet.Contains(p.dst.Addr()) || r.loopback(p.dst.Addr(), s.Gateway))
		}
	}
	return false
}

func (r *Relay) loopback(dst, gw netip.Addr) bool { return dst == gw && r.policy.Load().Loopback }

// answer sends an error or reply to a container; what cannot be sent is lost, as on any network.
func (r *Relay) answer(b []byte) {
	if b != nil {
		r.gw.Answer(b) //nolint:errcheck // see above
	}
}
