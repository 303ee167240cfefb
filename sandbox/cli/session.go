package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A session is this terminal at a container: raw mode, window size, input, detach keys, signals.
type session struct {
	app   *App
	in    bool   // input is attached
	keys  string // --detach-keys
	proxy bool   // signals go to the container

	restore  func()
	detached chan struct{}
	once     sync.Once
}

func isTerminal(f *os.File) bool { return sys.IsTerminal(int(f.Fd())) }

// terminalSize is the size of the terminal that this process writes to.
func (s *session) terminalSize() [4]uint16 {
	for _, f := range []*os.File{s.app.In, os.Stdout, os.Stderr} {
		if ws, err := sys.GetWinsize(int(f.Fd())); err == nil && ws.Row != 0 {
			return [4]uint16{ws.Row, ws.Col, ws.Xpixel, ws.Ypixel}
		}
	}
	return [4]uint16{}
}

// serve is a foreground run: this process is the container's server until its end. A detach hands it to the supervisor.
func (s *session) serve(ctx context.Context, e *engine.Engine, c *engine.Created, g *supervisor.Guest) error {
	s.detached = make(chan struct{})
	if err := s.begin(g.Terminal()); err != nil {
		return err
	}
	defer s.end()
	go s.input(g.Stdin(), g.Terminal())
	stop := s.signals(g.Terminal(), func(sig syscall.Signal) { _ = sys.PidfdSignal(g.Pidfd(), sig) })
	defer stop()
	also := supervisor.Sinks{}
	if c.Spec.Config.AttachStdout || c.Spec.Process.TTY {
		also.Stdout = os.Stdout
	}
	if c.Spec.Config.AttachStderr {
		also.Stderr = os.Stderr
	}
	type result struct {
		exit supervisor.Exit
		err  error
	}
	ended := make(chan result, 1)
	serving, leave := context.WithCancel(ctx)
	defer leave()
	go func() {
		x, err := g.Serve(serving, also)
		ended <- result{x, err}
	}()
	select {
	case r := <-ended:
		s.end()
		if r.exit.OOM {
			s.app.tellOOM(c.Snapshot)
		}
		if err := errors.Join(r.err, e.Done(ctx, c)); err != nil {
			return err
		}
		return exit(r.exit.Code)
	case <-s.detached:
		s.end()
		leave()
		if r := <-ended; !errors.Is(r.err, context.Canceled) { // it ended just now
			return errors.Join(r.err, e.Done(ctx, c), exit(r.exit.Code))
		}
		return e.HandOver(ctx, c)
	}
}

// begin puts the terminal into raw mode, if the container has one too.
func (s *session) begin(master *os.File) error {
	s.restore = func() {}
	if master == nil || !s.in || !isTerminal(s.app.In) {
		return nil
	}
	fd := int(s.app.In.Fd())
	old, err := sys.MakeRaw(fd)
	if err != nil {
		return err
	}
	s.restore = func() { _ = sys.SetTermios(fd, old) }
	return nil
}

// end gives the terminal back as it was.
func (s *session) end() { s.once.Do(s.restore) }

// input copies this process's input to the container's, until its end or the detach keys.
func (s *session) input(stdin, master *os.File) {
	if !s.in {
		return
	}
	switch {
	case master != nil:
		k := newKeys(s.keys)
		buf := make([]byte, 4096)
		for {
			n, err := s.app.In.Read(buf)
			send, detach := k.feed(buf[:n])
			if _, werr := master.Write(send); werr != nil {
				return
			}
			if detach {
				close(s.detached)
				return
			}
			if err != nil {
				return
			}
		}
	case stdin != nil:
		_, _ = io.Copy(stdin, s.app.In)
		_ = stdin.Close()
	}
}

// signals keeps the window size and hands signals on. The result stops it.
func (s *session) signals(master *os.File, send func(syscall.Signal)) (stop func()) {
	ch := make(chan os.Signal, 64)
	if master != nil {
		signal.Notify(ch, syscall.SIGWINCH)
	}
	if s.proxy {
		signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGCONT, syscall.SIGWINCH)
	}
	if master != nil { // the terminal went away: the container runs on
		signal.Notify(ch, syscall.SIGHUP)
	}
	go func() {
		for sig := range ch {
			switch {
			case sig == syscall.SIGWINCH && master != nil:
				z := s.terminalSize()
				_ = sys.SetWinsize(sys.FD(master), &sys.Winsize{Row: z[0], Col: z[1], Xpixel: z[2], Ypixel: z[3]})
			case sig == syscall.SIGHUP && master != nil:
				select {
				case <-s.detached:
				default:
					close(s.detached)
				}
				return
			default:
				if n, ok := sig.(syscall.Signal); ok {
					send(n)
				}
			}
		}
	}()
	return func() { signal.Stop(ch); close(ch) }
}
