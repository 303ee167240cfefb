package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
)

// errToldAlready is a step's result that is neither success nor failure.
var errToldAlready = errors.New("told already")

// atOnce is how many containers are stopped, killed or removed side by side, as Docker's client does.
const atOnce = 50

// each runs a step for every argument, several at once, printing the name of each that went well in the order of the
// arguments, and goes on after errors.
func (a *App) each(args []string, step func(name string) error) error {
	results := make([]chan error, len(args))
	slots := make(chan struct{}, atOnce)
	for i, name := range args {
		results[i] = make(chan error, 1)
		go func() {
			slots <- struct{}{}
			results[i] <- step(name)
			<-slots
		}()
	}
	failed := false
	for i, name := range args {
		err := <-results[i]
		switch {
		case errors.Is(err, errToldAlready):
		case err != nil:
			a.printError(err)
			failed = true
		default:
			fmt.Fprintln(a.Out, name)
		}
	}
	if failed {
		return exit(1)
	}
	return nil
}

var stopCommand = Command{
	Name: "stop", Aliases: []string{"container stop"}, Args: "[OPTIONS] CONTAINER [CONTAINER...]", Short: "Stop one or more running containers", Min: 1, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		timeout := fs.IntP("timeout", "t", 0, "Seconds to wait before killing the container")
		fs.IntVar(timeout, "time", 0, "")
		_ = fs.MarkHidden("time")
		sig := fs.StringP("signal", "s", "", "Signal to send to the container")
		return func(ctx context.Context, app *App, args []string) error {
			asked := timeout
			if !fs.Changed("timeout") && !fs.Changed("time") {
				asked = nil
			}
			n, err := optionalSignal(*sig)
			if err != nil {
				return err
			}
			e, err := app.Engine()
			if err != nil {
				return err
			}
			return app.each(args, func(name string) error {
				_, err := e.Stop(ctx, name, n, asked)
				return err
			})
		}
	},
}

func optionalSignal(s string) (syscall.Signal, error) {
	if s == "" {
		return 0, nil
	}
	return engine.ParseSignal(s)
}

var killCommand = Command{
	Name: "kill", Aliases: []string{"container kill"}, Args: "[OPTIONS] CONTAINER [CONTAINER...]", Short: "Kill one or more running containers", Min: 1, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		sig := fs.StringP("signal", "s", "KILL", "Signal to send to the container")
		return func(ctx context.Context, app *App, args []string) error {
			n, err := engine.ParseSignal(*sig)
			if err != nil {
				return err
			}
			e, err := app.Engine()
			if err != nil {
				return err
			}
			return app.each(args, func(name string) error { return e.Kill(ctx, name, n) })
		}
	},
}

var rmCommand = Command{
	Name: "rm", Aliases: []string{"container rm", "container remove"}, Args: "[OPTIONS] CONTAINER [CONTAINER...]", Short: "Remove one or more containers", Min: 1, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		force := fs.BoolP("force", "f", false, "Force the removal of a running container (uses SIGKILL)")
		volumes := fs.BoolP("volumes", "v", false, "Remove anonymous volumes associated with the container")
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			return app.each(args, func(name string) error {
				err := e.Remove(ctx, name, *force, *volumes)
				if *force && errors.Is(err, os.ErrNotExist) { // told, and no failure, as with Docker
					app.printError(err)
					return errToldAlready
				}
				return err
			})
		}
	},
}

var startCommand = Command{
	Name: "start", Aliases: []string{"container start"}, Args: "[OPTIONS] CONTAINER [CONTAINER...]", Short: "Start one or more stopped containers", Min: 1, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		attach := fs.BoolP("attach", "a", false, "Attach STDOUT/STDERR and forward signals")
		in := fs.BoolP("interactive", "i", false, "Attach container's STDIN")
		keys := fs.String("detach-keys", "", "Override the key sequence for detaching a container")
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			if *attach || *in {
				if len(args) > 1 {
					return errors.New("you cannot start and attach multiple containers at once")
				}
				return app.startAttached(ctx, e, args[0], *in, *keys)
			}
			return app.each(args, func(name string) error {
				_, _, err := e.Start(ctx, name)
				return err
			})
		}
	},
}

var waitCommand = Command{
	Name: "wait", Aliases: []string{"container wait"}, Args: "[OPTIONS] CONTAINER [CONTAINER...]", Short: "Block until one or more containers stop, then print their exit codes", Min: 1, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		until := fs.String("condition", string(engine.NotRunning), "What to wait for (not-running|next-exit|removed|healthy)")
		return func(ctx context.Context, app *App, args []string) error {
			switch engine.Condition(*until) {
			case engine.NotRunning, engine.NextExit, engine.Removed, engine.Healthy:
			default:
				return &engine.Hint{Err: fmt.Errorf("invalid condition: %q", *until), Remedy: "one of not-running, next-exit, removed, healthy"}
			}
			e, err := app.Engine()
			if err != nil {
				return err
			}
			failed := false
			for _, name := range args {
				code, err := waitOne(ctx, e, name, engine.Condition(*until))
				if err != nil {
					app.printError(err)
					failed = true
					continue
				}
				fmt.Fprintln(app.Out, code)
			}
			if failed {
				return exit(1)
			}
			return nil
		}
	},
}

// waitOne waits for one container.
func waitOne(ctx context.Context, e *engine.Engine, name string, until engine.Condition) (int, error) {
	if until == engine.NotRunning {
		return e.Wait(ctx, name)
	}
	c, err := e.Find(ctx, name)
	if err != nil {
		return 0, err
	}
	return e.WaitFor(ctx, c, until)
}

var restartCommand = Command{
	Name: "restart", Aliases: []string{"container restart"}, Args: "[OPTIONS] CONTAINER [CONTAINER...]", Short: "Restart one or more containers", Min: 1, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		timeout := fs.IntP("timeout", "t", 0, "Seconds to wait before killing the container")
		fs.IntVar(timeout, "time", 0, "")
		_ = fs.MarkHidden("time")
		sig := fs.StringP("signal", "s", "", "Signal to send to the container")
		return func(ctx context.Context, app *App, args []string) error {
			asked := timeout
			if !fs.Changed("timeout") && !fs.Changed("time") {
				asked = nil
			}
			n, err := optionalSignal(*sig)
			if err != nil {
				return err
			}
			e, err := app.Engine()
			if err != nil {
				return err
			}
			return app.each(args, func(name string) error {
				if _, err := e.Stop(ctx, name, n, asked); err != nil {
					return err
				}
				_, _, err := e.Start(ctx, name)
				return err
			})
		}
	},
}
