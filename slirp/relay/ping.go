package relay

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

const (
	pingLife = 30 * time.Second
	maxPings = 1024
)

// pinger answers echo requests with the host's ping sockets (icmp(7)), one for each identifier that a container uses.
type pinger struct {
	*Relay
	flows map[echo]*pingFlow
	sweep *reactor.Timer
}

type echo struct {
	src, dst netip.Addr
	id       uint16
}

type pingFlow struct {
	echo
	fd   int
	last time.Time
}

func newPinger(r *Relay) *pinger { return &pinger{Relay: r, flows: map[echo]*pingFlow{}} }

func (g *pinger) request(p *packet) {
	to, ok := g.policy.Load().Outside(p.dst)
	if !ok {
		g.answer(refusal(p, syscall.ENETUNREACH))
		return
	}
	f, err := g.flow(echo{p.src.Addr(), p.dst.Addr(), binary.BigEndian.Uint16(p.bytes[p.off+4:])}, to)
	if err == nil {
		f.last = time.Now()
		err = sys.SendTo(f.fd, p.bytes[p.off:], netip.AddrPort{})
	}
	if errno, ok := err.(syscall.Errno); ok && errno != syscall.EAGAIN {
		g.answer(refusal(p, errno)) // EACCES: the host's ping_group_range does not have this user
	}
}

func (g *pinger) flow(e echo, to netip.AddrPort) (*pingFlow, error) {
	if f := g.flows[e]; f != nil {
		return f, nil
	}
	if len(g.flows) >= maxPings {
		return nil, syscall.EAGAIN
	}
	proto := syscall.IPPROTO_ICMP
	if to.Addr().Is6() {
		proto = syscall.IPPROTO_ICMPV6
	}
	fd, err := sys.Socket(sys.Family(to.Addr()), syscall.SOCK_DGRAM, proto)
	if err != nil {
		return nil, err
	}
	f := &pingFlow{echo: e, fd: fd}
	err = sys.Connect(fd, to)
	if err == nil {
		err = g.loop.Add(fd, sys.EpollIn, reactor.Func(func(uint32) { g.replies(f) }))
	}
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	g.flows[e] = f
	g.armPingSweep()
	return f, nil
}

// replies passes on what has come back, with the container's own identifier.
func (g *pinger) replies(f *pingFlow) {
	buf := g.loop.Scratch()
	for {
		n, err := sys.Read(f.fd, buf)
		if err == syscall.EAGAIN || err == syscall.EBADF {
			return
		}
		if err != nil || n < 8 {
			continue // an error is reported once and gone
		}
		proto := byte(protoICMP)
		if f.dst.Is6() {
			proto = protoICMPv6
		}
		b, t := ipHeader(f.dst, f.src, proto, n)
		copy(t, buf[:n])
		put16(t, 4, f.id)
		finishChecksums(b)
		f.last = time.Now()
		g.answer(b)
	}
}

func (g *pinger) armPingSweep() {
	if g.sweep == nil {
		g.sweep = g.loop.After(pingLife, g.endOldPings)
	}
}

func (g *pinger) endOldPings() {
	g.sweep = nil
	for e, f := range g.flows {
		if time.Since(f.last) >= pingLife {
			delete(g.flows, e)
			g.loop.RemoveAndClose(f.fd)
		}
	}
	if len(g.flows) > 0 {
		g.armPingSweep()
	}
}

func (g *pinger) stop() {
	g.loop.Stop(g.sweep)
	for _, f := range g.flows {
		g.loop.RemoveAndClose(f.fd)
	}
}
