package dns

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

const (
	maxFlying  = 512
	tryFor     = 2 * time.Second // with one server, then the next
	totalTries = 4
	maxMessage = 65535
)

// datagrams reads the waiting queries.
func (d *Server) datagrams() {
	for !d.stopped {
		n, client, err := sys.RecvFrom(d.sockets.UDP, d.loop.Scratch())
		if err == syscall.EAGAIN || err == syscall.EBADF {
			return
		}
		if err != nil || n < headerLen {
			continue
		}
		d.query(append([]byte(nil), d.loop.Scratch()[:n]...), client)
	}
}

func (d *Server) query(m []byte, client netip.AddrPort) {
	if r := d.local(m); r != nil {
		d.respond(r, client)
		return
	}
	if len(d.flying) >= maxFlying {
		return // it repeats itself
	}
	f := &forward{server: d, message: m, client: client, upstreams: d.view.Servers(), fd: -1}
	d.flying[f] = true
	f.try()
}

func (d *Server) respond(m []byte, client netip.AddrPort) {
	if m != nil && !d.stopped {
		sys.SendTo(d.sockets.UDP, m, client) //nolint:errcheck // the query repeats itself
	}
}

// forward is a query on its way through the host's resolvers, one after the other. Each try has a socket of its own: its
// port is random, and only the server asked can answer.
type forward struct {
	server    *Server
	message   []byte
	client    netip.AddrPort
	upstreams []netip.Addr
	tries     int
	fd        int
	timer     *reactor.Timer
}

func (f *forward) try() {
	f.drop()
	for f.tries < totalTries && len(f.upstreams) > 0 {
		to := netip.AddrPortFrom(f.upstreams[f.tries%len(f.upstreams)], port)
		f.tries++
		if f.ask(to) == nil {
			f.timer = f.server.loop.After(tryFor, f.try)
			return
		}
	}
	f.server.respond(failure(f.message), f.client)
	f.end()
}

func (f *forward) ask(to netip.AddrPort) error {
	fd, err := sys.Socket(sys.Family(to.Addr()), syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	err = sys.Connect(fd, to)
	if err == nil {
		err = sys.SendTo(fd, f.message, netip.AddrPort{})
	}
	if err == nil {
		err = f.server.loop.Add(fd, sys.EpollIn, f)
	}
	if err != nil {
		syscall.Close(fd)
		return err
	}
	f.fd = fd
	return nil
}

// Ready reads the server's answer; a refusal leads to the next server at once.
func (f *forward) Ready(uint32) {
	buf := f.server.loop.Scratch()
	n, err := sys.Read(f.fd, buf)
	switch {
	case err == syscall.EAGAIN:
	case err != nil:
		f.try()
	case answers(f.message, buf[:n]):
		f.server.respond(buf[:n], f.client)
		f.end()
	}
}

// answers tells whether r is a response to query m: same number, same question.
func answers(m, r []byte) bool {
	if len(r) < headerLen || r[2]&0x80 == 0 || r[0] != m[0] || r[1] != m[1] {
		return false
	}
	q, ok := parseQuestion(m)
	return !ok || len(r) < q.end || string(lower(m[headerLen:q.end])) == string(lower(r[headerLen:q.end]))
}

func lower(b []byte) []byte {
	o := make([]byte, len(b))
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		o[i] = c
	}
	return o
}

func (f *forward) drop() {
	f.server.loop.Stop(f.timer)
	if f.fd >= 0 {
		f.server.loop.RemoveAndClose(f.fd)
		f.fd = -1
	}
}

func (f *forward) end() {
	f.drop()
	delete(f.server.flying, f)
}
