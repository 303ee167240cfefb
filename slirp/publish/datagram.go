package publish

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

const (
	flowLife  = 90 * time.Second
	flowSweep = 15 * time.Second
	maxFlows  = 8192
)

// datagrams serves a UDP port: for each client one socket inside that has the client's address.
type datagrams struct {
	*Port
	flows map[endpoints]*flow
	batch *sys.Batch
	sweep *reactor.Timer
}

// endpoints are a client and the host's address that it used.
type endpoints struct {
	client netip.AddrPort
	local  netip.Addr
}

type flow struct {
	endpoints
	d     *datagrams
	inner int
	last  time.Time
}

func newDatagrams(p *Port) *datagrams { return &datagrams{Port: p, flows: map[endpoints]*flow{}} }

func (d *datagrams) room() *sys.Batch {
	if d.batch == nil {
		d.batch = sys.NewBatch(16, 65536)
	}
	return d.batch
}

// ready carries what clients have sent in.
func (d *datagrams) ready() {
	b := d.room()
	for !d.closed {
		n, err := b.Recv(d.at.FD)
		if err == syscall.EAGAIN || err == syscall.EBADF {
			return
		}
		for at := 0; at < n; {
			key := endpoints{b.From(at), localAddr(b.Control(at))}
			end := at + 1
			for end < n && b.From(end) == key.client {
				end++
			}
			if f := d.flow(key); f != nil {
				f.last = time.Now()
				b.Send(f.inner, at, end, netip.AddrPort{}) //nolint:errcheck // datagrams get lost
			}
			at = end
		}
	}
}

// localAddr reads which address of the host a datagram was sent to (ip(7), IP_PKTINFO: ipi_addr; ipv6(7)).
func localAddr(_, kind int, data []byte) netip.Addr {
	switch {
	case kind == sys.IPPktInfo && len(data) >= 12:
		return netip.AddrFrom4([4]byte(data[8:12]))
	case kind == sys.IP6PktInfo && len(data) >= 16:
		return netip.AddrFrom16([16]byte(data[:16]))
	}
	return netip.Addr{}
}

func (d *datagrams) flow(key endpoints) *flow {
	if f := d.flows[key]; f != nil {
		return f
	}
	if len(d.flows) >= maxFlows {
		return nil
	}
	to, as := d.destination(key.client)
	fd, err := dialDatagram(to, as)
	if err != nil && as.IsValid() {
		fd, err = dialDatagram(to, netip.AddrPort{})
	}
	if err != nil {
		return nil
	}
	f := &flow{endpoints: key, d: d, inner: fd, last: time.Now()}
	if err := d.loop.Add(fd, sys.EpollIn, reactor.Func(func(uint32) { f.ready() })); err != nil {
		syscall.Close(fd)
		return nil
	}
	d.flows[key] = f
	if d.sweep == nil {
		d.sweep = d.loop.After(flowSweep, d.endOld)
	}
	return f
}

func dialDatagram(to, as netip.AddrPort) (int, error) {
	fd, err := sys.Socket(sys.Family(to.Addr()), syscall.SOCK_DGRAM, 0)
	if err != nil {
		return -1, err
	}
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, sys.SORcvBufForce, 2<<20) //nolint:errcheck // the default works
	if as.IsValid() {
		err = gateway.BindForeign(fd, as)
	}
	if err == nil {
		err = sys.Connect(fd, to)
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// ready carries the container's answers out, from the address that the client knows.
func (f *flow) ready() {
	b := f.d.room()
	for {
		n, err := b.Recv(f.inner)
		if err == syscall.EAGAIN || err == syscall.EBADF {
			return
		}
		if n == 0 {
			continue // the container refused a datagram: reported once and gone
		}
		f.last = time.Now()
		for at := 0; at < n; {
			at, err = b.SendFrom(f.d.at.FD, at, n, f.client, f.local)
			if err != nil {
				at++ // datagrams get lost
			}
		}
	}
}

func (d *datagrams) endOld() {
	d.sweep = nil
	for _, f := range d.flows {
		if time.Since(f.last) >= flowLife {
			d.end(f)
		}
	}
	if len(d.flows) > 0 {
		d.sweep = d.loop.After(flowSweep, d.endOld)
	} else {
		d.batch = nil
	}
}

func (d *datagrams) end(f *flow) {
	delete(d.flows, f.endpoints)
	d.loop.RemoveAndClose(f.inner)
}

func (d *datagrams) stop() {
	d.loop.Stop(d.sweep)
	for _, f := range d.flows {
		d.end(f)
	}
}
