package api

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// A session is a connection that was taken out of HTTP: input comes from it, output goes to it.
type session struct {
	conn net.Conn
	in   *bufio.Reader
	raw  bool // no frames: with a terminal
	mu   sync.Mutex
	done context.CancelFunc
}

const (
	rawStream         = "application/vnd.docker.raw-stream"
	multiplexedStream = "application/vnd.docker.multiplexed-stream"
)

// headerWait bounds the wait for a client that has not read its header.
const headerWait = 20 * time.Millisecond

// hijack takes the connection over and sends the header. The returned context ends when the client has gone for good;
// closing the session ends it, too. Output must not be sent before the client has read the header: several clients read the
// socket beneath a buffered reader and would lose what came along with it (api.md 2).
func (q *request) hijack(s *Server, tty bool) (*session, context.Context, error) {
	h, ok := q.w.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("internal error: the connection cannot be taken over")
	}
	conn, rw, err := h.Hijack()
	if err != nil {
		return nil, nil, err
	}
	q.w.begun = true
	_ = conn.SetDeadline(time.Time{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(q.r.Context()))
	stop := context.AfterFunc(q.base(), cancel)
	x := &session{conn: conn, in: rw.Reader, raw: tty}
	x.done = func() {
		stop()
		cancel()
		conn.Close()
		s.leave()
	}
	if _, err := io.WriteString(conn, q.header(tty)); err != nil {
		x.done()
		return nil, nil, err
	}
	x.awaitRead()
	go x.watch(ctx, cancel)
	return x, ctx, nil
}

// base is the context of the whole server.
func (q *request) base() context.Context {
	if srv, ok := q.r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv.BaseContext != nil {
		return srv.BaseContext(nil)
	}
	return context.Background()
}

// header is the answer's: 101 if the client asked to upgrade, else 200.
func (q *request) header(tty bool) string {
	kind := rawStream
	if q.version >= 42 && !tty {
		kind = multiplexedStream
	}
	if q.r.Header.Get("Upgrade") != "" {
		return "HTTP/1.1 101 UPGRADED\r\nContent-Type: " + kind + "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n" + q.common() + "\r\n"
	}
	return "HTTP/1.1 200 OK\r\nContent-Type: " + kind + "\r\n" + q.common() + "\r\n"
}

// common are the headers of every answer.
func (q *request) common() string {
	var b strings.Builder
	for _, name := range []string{"Api-Version", "Docker-Experimental", "Ostype", "Server"} {
		b.WriteString(name + ": " + q.w.Header().Get(name) + "\r\n")
	}
	return b.String()
}

// awaitRead waits until the client has read what was sent.
func (x *session) awaitRead() {
	sc, ok := x.conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	for end := time.Now().Add(headerWait); time.Now().Before(end); time.Sleep(50 * time.Microsecond) {
		left := 0
		err := raw.Control(func(fd uintptr) { left, _ = sys.Unread(int(fd)) })
		if err != nil || left == 0 {
			return
		}
	}
}

// hangupCheck is how often it is looked whether the client is still there.
const hangupCheck = 100 * time.Millisecond

// watch ends the session when the client has gone: the end of its input alone does not say so.
func (x *session) watch(ctx context.Context, cancel context.CancelFunc) {
	sc, ok := x.conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	tick := time.NewTicker(hangupCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			x.conn.Close() // ends whoever reads or writes it
			return
		case <-tick.C:
			gone := false
			if err := raw.Control(func(fd uintptr) { gone = sys.HungUp(int(fd)) }); err != nil || gone {
				cancel()
			}
		}
	}
}

// The streams of a frame.
const (
	frameStdout = 1
	frameStderr = 2
)

// write sends output: as it is with a terminal, else in frames of 8 bytes of header (stream, three zeros, length).
func (x *session) write(stream byte, b []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return writeFrame(x.conn, x.raw, stream, b)
}

func writeFrame(w io.Writer, raw bool, stream byte, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if raw {
		_, err := w.Write(b)
		return err
	}
	frame := make([]byte, 8, 8+len(b))
	frame[0] = stream
	binary.BigEndian.PutUint32(frame[4:], uint32(len(b)))
	_, err := w.Write(append(frame, b...))
	return err
}
