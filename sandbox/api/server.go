package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/engine/images"
)

// A Server answers one user's clients.
type Server struct {
	engine  *engine.Engine
	images  *images.Service
	version string // of moss
	routes  []route
	execs   execs
	busy    atomic.Int64 // open connections
	since   atomic.Int64 // when the last one went, in nanoseconds after 1970
}

// New makes a server of an engine, which it takes over.
func New(e *engine.Engine, version string) *Server {
	s := &Server{engine: e, images: images.New(e), version: version}
	e.Pull = s.unpack
	s.routes = s.table()
	s.since.Store(time.Now().UnixNano())
	return s
}

// unpack is what creating a container does about an image that cannot be used as it is: one that is here is unpacked, none
// is pulled (clients do that themselves).
func (s *Server) unpack(ctx context.Context, ref string) error {
	err := s.images.Ensure(ctx, ref)
	if errors.Is(err, store.ErrNotFound) {
		return noImage(ref)
	}
	return err
}

// Serve answers the clients of a unix socket until ctx ends or, with an idle time above zero, until nobody has been
// connected for that long and no command of exec runs. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener, idle time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: time.Minute, BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: withConnection, ConnState: s.count,
	}
	go func() {
		s.untilIdle(ctx, idle)
		cancel()
		_ = h.Close()
	}()
	err := h.Serve(sameUser{ln})
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// count notes connections that come and go; a hijacked one goes when its handler has ended.
func (s *Server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.busy.Add(1)
	case http.StateClosed:
		s.leave()
	case http.StateActive, http.StateIdle, http.StateHijacked:
	}
}

func (s *Server) leave() {
	s.since.Store(time.Now().UnixNano())
	s.busy.Add(-1)
}

// untilIdle returns when ctx ends or the server has had nothing to do for a while.
func (s *Server) untilIdle(ctx context.Context, idle time.Duration) {
	if idle <= 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(max(idle/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if s.busy.Load() == 0 && !s.execs.any() && now.Sub(time.Unix(0, s.since.Load())) >= idle {
				return
			}
		}
	}
}

// sameUser accepts connections of this user, and of root, who could be this user; it hangs up on everybody else (SO_PEERCRED,
// unix(7)).
type sameUser struct{ net.Listener }

// Accept implements net.Listener.
func (l sameUser) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if u, ok := c.(*net.UnixConn); ok && mine(u) {
			return c, nil
		}
		c.Close()
	}
}

// mine tells whether a connection's other end is this user or root.
func mine(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	same := false
	err = raw.Control(func(fd uintptr) {
		cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		same = err == nil && (int(cred.Uid) == syscall.Geteuid() || cred.Uid == 0)
	})
	return err == nil && same
}

type connectionKey struct{}

// withConnection lets a handler find its connection.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}
