package dns

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

const (
	maxStreams = 64
	streamLife = 10 * time.Second
)

// stream is a container's TCP connection to its resolver: local names are answered; at the first other question the
// connection is joined with one to a resolver of the host's, which answers from there on.
type stream struct {
	server    *Server
	fd        int
	got       []byte // not yet answered
	upstreams []netip.Addr
	out       int // connecting, else -1
	timer     *reactor.Timer
}

func (d *Server) accept() {
	for !d.stopped {
		fd, _, err := sys.Accept(d.sockets.TCP)
		if err == syscall.EAGAIN || err == syscall.EBADF || err == syscall.EINVAL || err == syscall.EMFILE {
			return
		}
		if err != nil {
			continue
		}
		s := &stream{server: d, fd: fd, out: -1}
		if len(d.streams) >= maxStreams || d.loop.Add(fd, sys.EpollIn, reactor.Func(func(uint32) { s.read() })) != nil {
			syscall.Close(fd)
			continue
		}
		d.streams[s] = true
		s.timer = d.loop.After(streamLife, s.end)
	}
}

func (s *stream) read() {
	buf := s.server.loop.Scratch()
	for s.out < 0 && len(s.got) <= maxMessage {
		n, err := sys.Read(s.fd, buf)
		if err == syscall.EAGAIN {
			break
		}
		if err != nil || n == 0 {
			s.end()
			return
		}
		s.got = append(s.got, buf[:n]...)
	}
	s.answer()
}

// answer handles the whole messages that have arrived.
func (s *stream) answer() {
	for s.out < 0 && len(s.got) >= 2 {
		n := 2 + int(binary.BigEndian.Uint16(s.got))
		if len(s.got) < n {
			return
		}
		r := s.server.local(s.got[2:n])
		if r == nil {
			s.upstreams = s.server.view.Servers()
			s.connect()
			return
		}
		if _, err := sys.Write(s.fd, append(binary.BigEndian.AppendUint16(nil, uint16(len(r))), r...)); err != nil {
			s.end()
			return
		}
		s.got = s.got[n:]
	}
}

// connect tries the next resolver; without any the connection ends.
func (s *stream) connect() {
	for len(s.upstreams) > 0 {
		to := netip.AddrPortFrom(s.upstreams[0], port)
		s.upstreams = s.upstreams[1:]
		fd, err := sys.Socket(sys.Family(to.Addr()), syscall.SOCK_STREAM, 0)
		if err != nil {
			break
		}
		err = sys.Connect(fd, to)
		if err == nil || err == syscall.EINPROGRESS {
			err = s.server.loop.Add(fd, sys.EpollOut, reactor.Func(func(uint32) { s.connected() }))
		}
		if err == nil {
			s.out = fd
			return
		}
		syscall.Close(fd)
	}
	s.end()
}

func (s *stream) connected() {
	if sys.SocketError(s.out) != nil {
		s.server.loop.RemoveAndClose(s.out)
		s.out = -1
		s.connect()
		return
	}
	if _, err := sys.Peername(s.out); err != nil {
		return // not yet
	}
	if _, err := sys.Write(s.out, s.got); err != nil {
		s.end()
		return
	}
	d := s.server
	delete(d.streams, s)
	d.loop.Stop(s.timer)
	d.loop.Remove(s.fd)
	d.loop.Remove(s.out)
	d.pumps.Join(d.loop, s.fd, s.out)
}

func (s *stream) end() {
	delete(s.server.streams, s)
	s.server.loop.Stop(s.timer)
	s.server.loop.RemoveAndClose(s.fd)
	if s.out >= 0 {
		s.server.loop.RemoveAndClose(s.out)
	}
}
