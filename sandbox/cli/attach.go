package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/output"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/userns/sys"
)

var attachCommand = Command{
	Name: "attach", Aliases: []string{"container attach"}, Args: "[OPTIONS] CONTAINER", Short: "Attach local standard input, output, and error streams to a running container",
	Min: 1, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		keys := fs.String("detach-keys", "", "Override the key sequence for detaching a container")
		noStdin := fs.Bool("no-stdin", false, "Do not attach STDIN")
		proxy := fs.Bool("sig-proxy", true, "Proxy all received signals to the process")
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			c, err := e.Find(ctx, args[0])
			if err != nil {
				return err
			}
			if c.State.Status != sandbox.Running {
				return errors.New("cannot attach to a stopped container, start it first")
			}
			r, err := output.OpenAtEnd(c.Dir)
			if err != nil {
				return err
			}
			s := &session{app: app, in: c.Spec.Process.Stdin && !*noStdin, keys: *keys, proxy: *proxy && !c.Spec.Process.TTY}
			return s.attach(ctx, e, c, r)
		}
	},
}

// startAttached starts a container and follows it.
func (a *App) startAttached(ctx context.Context, e *engine.Engine, name string, in bool, keys string) error {
	c, err := e.Find(ctx, name)
	if err != nil {
		return err
	}
	r, err := output.OpenAtEnd(c.Dir)
	if err != nil {
		return err
	}
	c, _, err = e.Start(ctx, name)
	if err != nil {
		return err
	}
	s := &session{app: a, in: in && c.Spec.Process.Stdin, keys: keys, proxy: !c.Spec.Process.TTY}
	return s.attach(ctx, e, c, r)
}

// attach follows a container that another process serves: its output is read from the log, its input goes to what its
// holder keeps. Nothing of this client can hold the container up.
func (s *session) attach(ctx context.Context, e *engine.Engine, c *sandbox.Snapshot, r *output.Reader) error {
	defer r.Close()
	s.detached = make(chan struct{})
	stdin, master, err := held(c, s.in)
	if err != nil {
		return err
	}
	for _, f := range []*os.File{stdin, master} {
		if f != nil {
			defer f.Close()
		}
	}
	if err := s.begin(master); err != nil {
		return err
	}
	defer s.end()
	if master != nil {
		redraw(master, s.terminalSize())
	}
	defer s.signals(master, func(sig syscall.Signal) { _ = supervisor.Signal(c, sig) })()
	go s.input(stdin, master)
	ended := s.copyLog(c, r)
	s.end()
	if !ended {
		return nil
	}
	code, err := e.Wait(ctx, c.ID)
	if err != nil {
		return err
	}
	return exit(code)
}

// held opens what the container's holder keeps for input.
func held(c *sandbox.Snapshot, in bool) (stdin, master *os.File, err error) {
	switch {
	case c.Spec.Process.TTY:
		master, err = supervisor.TakeMaster(c)
	case in && !c.Spec.Process.StdinOnce:
		stdin, err = supervisor.OpenStdin(c)
	}
	return stdin, master, err
}

// redraw makes the program in the container show itself again: the size changes, and changes back.
func redraw(master *os.File, z [4]uint16) {
	if z[0] == 0 {
		return
	}
	fd := sys.FD(master)
	_ = sys.SetWinsize(fd, &sys.Winsize{Row: z[0], Col: z[1] + 1})
	_ = sys.SetWinsize(fd, &sys.Winsize{Row: z[0], Col: z[1], Xpixel: z[2], Ypixel: z[3]})
}

// copyLog copies what is logged from now on until the container has ended, or the user detaches (false).
func (s *session) copyLog(c *sandbox.Snapshot, r *output.Reader) bool {
	f := output.NewWatch(c.Dir)
	defer f.Close()
	for {
		ended := !c.State.Guest.Alive() && !c.Served()
		for {
			p, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return true
			}
			to := os.Stdout
			if p.Stream == output.Stderr {
				to = os.Stderr
			}
			if _, err := to.Write(p.Data); err != nil {
				return true
			}
		}
		if ended {
			return true
		}
		select {
		case <-s.detached:
			return false
		default:
			_ = f.Wait(context.Background(), 100*time.Millisecond)
		}
	}
}
