package relay

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// flow names a connection of a container.
type flow struct{ src, dst netip.AddrPort }

// flight is a connection between its SYN and its accept.
//
//	SYN ──> dialling ──answered──> given back ──accept──> joined
//	            └──refused, unreachable──> told, forgotten
type flight struct {
	flow
	relay     *Relay
	syn       packet
	fd        int // towards the destination
	accepted  int // the container's side when it came first, else -1
	slot      int // in the journal, -1 for none
	connected bool
	since     time.Time
}

// syn handles a connection's first segment. However often it is repeated, the destination is dialled once.
func (r *Relay) syn(p *packet) {
	key := flow{p.src, p.dst}
	if f := r.flights[key]; f != nil {
		if f.connected {
			f.giveBack()
		}
		return
	}
	if len(r.flights) >= maxFlights || r.bySrc[p.src.Addr()] >= maxFlightsOne {
		return
	}
	f := &flight{flow: key, relay: r, syn: p.copied(), accepted: -1, slot: r.journal.note(p.bytes)}
	if err := f.dial(); err != nil {
		f.refuse(err)
	}
}

// dial begins to connect. The flight is in the table when it returns nil.
func (f *flight) dial() error {
	r := f.relay
	to, ok := r.policy.Load().Outside(f.dst)
	if !ok {
		return syscall.ENETUNREACH
	}
	fd, err := outerSocket(to.Addr())
	if err != nil {
		return err
	}
	if err := sys.Connect(fd, to); err != nil && err != syscall.EINPROGRESS {
		syscall.Close(fd)
		return err
	}
	if err := r.loop.Add(fd, reactor.Connection, f); err != nil {
		syscall.Close(fd)
		return err
	}
	f.fd, f.since = fd, time.Now()
	r.flights[f.flow] = f
	r.bySrc[f.src.Addr()]++
	return nil
}

// outerSocket is a TCP socket of the host's namespace. Keep-alive is ours to do: the container's probes end at the gateway.
func outerSocket(a netip.Addr) (int, error) {
	fd, err := sys.Socket(sys.Family(a), syscall.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) //nolint:errcheck // it only costs time
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1) //nolint:errcheck // likewise
	return fd, nil
}

// Ready is told that the destination has answered.
func (f *flight) Ready(events uint32) {
	if f.connected {
		return // what has come is read when the two are joined
	}
	done, err := reactor.Connected(f.fd, events)
	switch {
	case !done:
	case err != nil:
		f.relay.forget(f)
		f.relay.loop.CloseOnly(f.fd)
		f.refuse(err)
	case f.accepted >= 0:
		f.join(f.accepted)
	case f.relay.deliver != nil:
		f.relay.forget(f)
		f.relay.loop.Remove(f.fd)
		f.relay.deliver(f.src, f.dst, f.fd)
	default:
		f.connected, f.since = true, time.Now()
		f.relay.armSweep()
		f.giveBack()
	}
}

// giveBack lets the container's kernel go on with the connection.
func (f *flight) giveBack() {
	finishChecksums(f.syn.bytes)
	f.relay.gw.Inject(f.syn.bytes) //nolint:errcheck // the SYN repeats itself
}

// refuse tells the container that there is no connection.
func (f *flight) refuse(err error) {
	f.relay.journal.done(f.slot)
	if f.accepted >= 0 {
		sys.ResetOnClose(f.accepted)
		syscall.Close(f.accepted)
		return
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		f.relay.answer(refusal(&f.syn, errno))
	}
	if f.relay.deliver != nil {
		f.relay.deliver(f.src, f.dst, -1)
	}
}

// accept takes connections from the transparent listener.
func (r *Relay) accept(listener int) {
	for {
		fd, src, err := sys.Accept(listener)
		if err == syscall.EAGAIN || err == syscall.EBADF || err == syscall.EINVAL {
			return
		}
		if err == syscall.EMFILE || err == syscall.ENFILE {
			r.loop.After(10*time.Millisecond, func() { r.accept(listener) })
			return
		}
		if err != nil {
			continue // the connection has gone already
		}
		r.accepted(fd, src)
	}
}

// accepted joins a connection with the flight that waits for it. One without a flight met an old socket of its addresses
// (the first of the rules): it is accepted first and dialled now.
func (r *Relay) accepted(fd int, src netip.AddrPort) {
	dst, err := sys.Sockname(fd)
	if err != nil {
		syscall.Close(fd)
		return
	}
	f := r.flights[flow{src, dst}]
	switch {
	case f == nil:
		f = &flight{flow: flow{src, dst}, relay: r, accepted: fd, slot: -1}
		if err := f.dial(); err != nil {
			f.refuse(err)
		}
	case f.connected:
		f.join(fd)
	case f.accepted < 0:
		f.accepted = fd
	default:
		syscall.Close(fd)
	}
}

func (f *flight) join(fd int) {
	f.relay.forget(f)
	f.relay.pumps.Join(f.relay.loop, fd, f.fd)
}

func (r *Relay) forget(f *flight) {
	r.journal.done(f.slot)
	f.slot = -1
	delete(r.flights, f.flow)
	if r.bySrc[f.src.Addr()]--; r.bySrc[f.src.Addr()] <= 0 {
		delete(r.bySrc, f.src.Addr())
	}
}

// armSweep makes sure that flights whose container has lost interest end.
func (r *Relay) armSweep() {
	if r.sweep == nil {
		r.sweep = r.loop.After(flightLife, r.endOldFlights)
	}
}

func (r *Relay) endOldFlights() {
	r.sweep = nil
	waiting := false
	for _, f := range r.flights {
		switch {
		case !f.connected:
		case time.Since(f.since) >= flightLife:
			r.forget(f)
			r.loop.CloseOnly(f.fd)
		default:
			waiting = true
		}
	}
	if waiting {
		r.armSweep()
	}
}
