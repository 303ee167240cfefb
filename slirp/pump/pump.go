package pump

import (
	"syscall"

	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// turn bounds what one direction moves before other connections of the loop have theirs.
const turn = 4 << 20

// Pair is two sockets joined. It belongs to one loop at a time.
type Pair struct {
	env    *Env
	loop   *reactor.Loop
	fd     [2]int
	way    [2]direction // way[i] carries from fd[i] to fd[1-i]
	closed bool
	queued bool
	spread bool // it has been given to a loop for pairs that carry much
}

// direction is one way of a pair. Its bytes in flight lie in pipe or in rest, never in both.
type direction struct {
	pipe     *pipe
	inPipe   int
	rest     []byte
	splicing bool
	readable bool
	hangup   bool // an end may wait behind the bytes, of which no event will come any more
	writable bool
	ended    bool // end of file read
	shut     bool // and passed on
}

// Env is what the pumps of a switch share.
type Env struct {
	Pipes Pipes
	// Spread, if set, names the loop in which a pair that carries much is to go on. It is called in any of the loops.
	Spread func() *reactor.Loop
}

// Join takes over two connected non-blocking sockets and moves bytes between them until both ways have ended. One that
// the loop watches already as a reactor.Connection is taken over as it is. Must be called in the loop.
func (e *Env) Join(l *reactor.Loop, a, b int) {
	p := &Pair{env: e, fd: [2]int{a, b}}
	for i := range p.way {
		p.way[i].fresh()
	}
	p.enter(l)
}

// fresh assumes everything of sockets whose events have not been seen here.
func (w *direction) fresh() { w.readable, w.hangup, w.writable = true, true, true }

func (p *Pair) enter(l *reactor.Loop) {
	p.loop, p.queued = l, false
	for i, fd := range p.fd {
		if l.HandOver(fd, side{p, i}) {
			continue
		}
		if err := l.Add(fd, reactor.Connection, side{p, i}); err != nil {
			p.abort()
			return
		}
	}
	p.move()
}

type side struct {
	*Pair
	i int
}

// Ready notes what the socket can do now and moves on.
func (s side) Ready(events uint32) {
	in, out := &s.way[s.i], &s.way[1-s.i]
	if events&(sys.EpollIn|sys.EpollRdHup|sys.EpollHup|sys.EpollErr) != 0 {
		in.readable = true
		in.hangup = in.hangup || events&^(sys.EpollIn|sys.EpollOut) != 0
	}
	if events&(sys.EpollOut|sys.EpollHup|sys.EpollErr) != 0 {
		out.writable = true
	}
	if events&sys.EpollErr != 0 && in.ended {
		s.abort() // a reset after the end of file: reading would not tell
		return
	}
	s.move()
}

func (p *Pair) move() {
	if p.closed {
		return
	}
	more := false
	for i := range p.way {
		moved, err := p.carry(i)
		if err != nil {
			p.abort()
			return
		}
		more = more || moved >= turn
	}
	switch {
	case p.way[0].shut && p.way[1].shut:
		p.end()
	case more:
		p.yield()
	}
}

// yield lets the loop's other connections have their turn; a pair that carries much may go on in another loop.
func (p *Pair) yield() {
	if p.queued {
		return
	}
	p.queued = true
	next := p.loop
	if p.env.Spread != nil && !p.spread {
		p.spread, next = true, p.env.Spread()
	}
	if next == p.loop {
		p.loop.Post(func() { p.queued = false; p.move() })
		return
	}
	for i, fd := range p.fd {
		p.loop.Remove(fd)
		p.way[i].fresh()
	}
	next.Post(func() { p.enter(next) })
}

// carry moves what it can from fd[i] to the other side.
func (p *Pair) carry(i int) (moved int, err error) {
	w := &p.way[i]
	for !w.shut && moved < turn {
		if err := p.empty(i); err != nil {
			return moved, err
		}
		if w.inFlight() {
			return moved, nil // the far side is full
		}
		if w.ended {
			w.shut = true
			if p.way[1-i].shut {
				return moved, nil // both have ended: close says so
			}
			return moved, syscall.Shutdown(p.fd[1-i], syscall.SHUT_WR)
		}
		if !w.readable || !w.writable {
			return moved, nil
		}
		n, err := p.fill(i)
		if err != nil {
			return moved, err
		}
		moved += n
	}
	return moved, nil
}

func (w *direction) inFlight() bool { return w.inPipe > 0 || len(w.rest) > 0 }

// fill takes bytes from fd[i] and, when they were copied, passes on what the other side takes at once.
func (p *Pair) fill(i int) (int, error) {
	w := &p.way[i]
	if w.splicing && w.pipe == nil {
		w.pipe = p.env.Pipes.get()
	}
	if w.splicing && w.pipe != nil {
		return p.fillPipe(i)
	}
	buf := p.loop.Scratch()
	n, err := sys.Read(p.fd[i], buf)
	if n <= 0 {
		return 0, w.stopped(n, err)
	}
	w.splicing = n == len(buf)
	w.readable = w.splicing || w.hangup // less than asked for: the rest will be an event of its own
	m, err := sys.Write(p.fd[1-i], buf[:n])
	if err != nil && err != syscall.EAGAIN {
		return n, err
	}
	if m = max(m, 0); m < n {
		w.writable = false
		w.rest = append([]byte(nil), buf[m:n]...)
	}
	return n, nil
}

func (p *Pair) fillPipe(i int) (int, error) {
	w := &p.way[i]
	n, err := sys.SpliceSocket(p.fd[i], w.pipe.w, w.pipe.size)
	if n > 0 {
		w.inPipe = n
		w.splicing = n > 8<<10
		return n, nil
	}
	p.env.Pipes.put(w.pipe)
	w.pipe = nil
	return 0, w.stopped(n, err)
}

// stopped notes why a read gave nothing.
func (w *direction) stopped(n int, err error) error {
	switch {
	case err == syscall.EAGAIN:
		w.readable, w.hangup = false, false
		return nil
	case err != nil:
		return err
	case n == 0:
		w.ended = true
	}
	return nil
}

// empty passes on the bytes in flight from fd[i].
func (p *Pair) empty(i int) error {
	w := &p.way[i]
	for w.writable && w.inFlight() {
		n, err := p.push(i)
		switch {
		case err == syscall.EAGAIN:
			w.writable = false
		case err != nil:
			return err
		case w.inPipe > 0:
			w.inPipe -= n
		default:
			w.rest = w.rest[n:]
		}
	}
	if w.inPipe == 0 && w.pipe != nil {
		p.env.Pipes.put(w.pipe)
		w.pipe = nil
	}
	if len(w.rest) == 0 {
		w.rest = nil
	}
	return nil
}

func (p *Pair) push(i int) (int, error) {
	w := &p.way[i]
	if w.inPipe > 0 {
		return sys.SpliceSocket(w.pipe.r, p.fd[1-i], w.inPipe)
	}
	return sys.Write(p.fd[1-i], w.rest)
}

// abort passes a reset of one side on to the other.
func (p *Pair) abort() {
	if p.closed {
		return
	}
	for _, fd := range p.fd {
		sys.ResetOnClose(fd)
	}
	p.end()
}

func (p *Pair) end() {
	p.closed = true
	for i := range p.way {
		if w := &p.way[i]; w.pipe != nil {
			w.pipe.close() // it may hold bytes
			w.pipe = nil
		}
		p.loop.CloseOnly(p.fd[i])
	}
}
