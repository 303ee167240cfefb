//go:build !hot

package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/socket"
)

// idleServer is how long a server that a client has woken stays after the last one.
const idleServer = 30 * time.Second

// serveOptions are the flags of serve.
type serveOptions struct {
	socket string
	kept   bool
}

var serveCommand = Command{
	Name: "serve", Args: "[OPTIONS]", Short: "Answer Docker's API on a socket", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &serveOptions{}
		fs.StringVar(&o.socket, "socket", "", "Path of the socket (default: docker.sock in moss's runtime directory)")
		fs.BoolVar(&o.kept, "kept", false, "")
		_ = fs.MarkHidden("kept") // the socket is descriptor 3, and goes back to where it came from
		return o.run
	},
}

func (o *serveOptions) run(ctx context.Context, app *App, _ []string) error {
	if app.Serve == nil {
		return errors.New("internal error: this program has no server")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	e, err := app.Engine()
	if err != nil {
		return err
	}
	if o.kept {
		return app.serveKept(ctx, e)
	}
	path := o.socket
	if path == "" {
		path = socket.Path(&e.Dirs)
	}
	f, err := socket.Listen(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(app.Err, "%s: API listens on unix://%s\n", app.Name, Quote(path))
	err = app.serve(ctx, e, f, 0)
	return errors.Join(err, os.Remove(path))
}

// serve answers on an open socket.
func (a *App) serve(ctx context.Context, e *engine.Engine, f *os.File, idle time.Duration) error {
	ln, err := net.FileListener(f)
	if err != nil {
		return err
	}
	return a.Serve(ctx, e, a.Version, ln, idle)
}

// serveKept answers as long as there are clients; then the socket is kept by a small process again.
func (a *App) serveKept(ctx context.Context, e *engine.Engine) error {
	f := os.NewFile(socket.Inherited, "socket")
	syscall.CloseOnExec(socket.Inherited)
	if err := a.serve(ctx, e, f, idleServer); err != nil {
		return err
	}
	if ctx.Err() != nil { // env --unset
		return nil
	}
	return socket.Keep(&e.Dirs, f, keptArgs(e))
}

// keptArgs is the command line of a server that a client wakes.
func keptArgs(e *engine.Engine) []string {
	return []string{"moss", "--root", e.Dirs.Data, "serve", "--kept"}
}

var envCommand = Command{
	Name: "env", Args: "[OPTIONS]", Short: "Make docker speak to moss: eval \"$(moss env)\"", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		unset := fs.BoolP("unset", "u", false, "Undo it")
		return func(_ context.Context, app *App, _ []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			if *unset {
				fmt.Fprintln(app.Out, "unset DOCKER_HOST DOCKER_BUILDKIT")
				_, err := socket.Unset(&e.Dirs)
				return err
			}
			if err := app.keepSocket(e); err != nil {
				return err
			}
			// The classic builder is the one that is served; newer clients ask for another one unless told.
			fmt.Fprintf(app.Out, "export DOCKER_HOST=unix://%s DOCKER_BUILDKIT=0\n", socket.Path(&e.Dirs))
			return nil
		}
	},
}

// keepSocket makes the socket answer. One that does already stays as it is.
func (a *App) keepSocket(e *engine.Engine) error {
	if socket.Kept(&e.Dirs) {
		return nil
	}
	f, err := socket.Listen(socket.Path(&e.Dirs))
	var taken *socket.TakenError
	if errors.As(err, &taken) { // by moss serve in a terminal
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return socket.Keep(&e.Dirs, f, keptArgs(e))
}
