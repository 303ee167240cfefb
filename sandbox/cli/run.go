package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
)

var runCommand = Command{
	Name: "run", Aliases: []string{"container run"}, Args: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
	Short: "Create and run a new container from an image", Min: 1, Max: -1, Ordered: true,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &runOptions{}
		o.addFlags(fs)
		fs.BoolVarP(&o.detach, "detach", "d", false, "Run container in background and print container ID")
		fs.StringVar(&o.detachKeys, "detach-keys", "", "Override the key sequence for detaching a container")
		fs.BoolVar(&o.sigProxy, "sig-proxy", true, "Proxy received signals to the process")
		return o.run
	},
}

// run creates and starts a container, and attaches to it unless it is to be detached.
func (o *runOptions) run(ctx context.Context, app *App, args []string) error {
	err := o.runContainer(ctx, app, args)
	return app.runError(err)
}

// runError gives an error of run its exit code: the command's where it could not be executed, else 125.
func (a *App) runError(err error) error {
	var x *ExitError
	var ce *supervisor.CommandError
	switch {
	case err == nil || errors.As(err, &x):
		return err
	case errors.As(err, &ce):
		return &ExitError{Code: ce.Code, Err: err}
	}
	return &ExitError{Code: 125, Err: err}
}

func (o *runOptions) runContainer(ctx context.Context, app *App, args []string) error {
	c, err := o.create(app, args)
	if err != nil {
		return err
	}
	o.streams(c)
	e, err := app.Engine()
	if err != nil {
		return err
	}
	if c.TTY && c.Stdin && !o.detach && !isTerminal(app.In) {
		return &ExitError{Code: 1, Err: errors.New("the input device is not a TTY")}
	}
	made, err := e.Create(ctx, c)
	if err != nil {
		return err
	}
	app.warn(made.Warnings)
	if note, remedy := e.BootNote(made.Spec.Restart.Policy); note != "" {
		app.note("%s", note)
		fmt.Fprintf(app.Err, "hint: %s\n", remedy)
	}
	if err := o.writeCIDFile(made.ID); err != nil {
		return errors.Join(err, e.Discard(ctx, made))
	}
	if o.detach {
		if err := e.StartDetached(ctx, made); err != nil {
			return err
		}
		app.warn(e.LateWarning(made.Snapshot))
		fmt.Fprintln(app.Out, made.ID)
		return nil
	}
	return o.foreground(ctx, app, e, made)
}

// streams decides what is attached.
func (o *runOptions) streams(c *engine.Create) {
	if o.detach {
		return
	}
	c.AttachOut, c.AttachErr, c.AttachIn = true, true, c.Stdin
	if len(o.attach) > 0 {
		c.AttachIn, c.AttachOut, c.AttachErr = o.attach.has("stdin"), o.attach.has("stdout"), o.attach.has("stderr")
	}
	c.StdinOnce = c.Stdin
}

// warn prints the container's warnings, one line each.
func (a *App) warn(lines []string) {
	for _, w := range lines {
		a.note("%s", w)
	}
}

func (o *runOptions) writeCIDFile(id string) error {
	if o.cidfile == "" {
		return nil
	}
	f, err := os.OpenFile(o.cidfile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("container ID file found, make sure the other container isn't running or delete %s", o.cidfile)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(id)
	return errors.Join(err, f.Close())
}

// foreground starts the container as a child of this process and stays until its end, or until the user detaches.
func (o *runOptions) foreground(ctx context.Context, app *App, e *engine.Engine, c *engine.Created) error {
	s := &session{app: app, in: c.Spec.Config.AttachStdin, keys: o.detachKeys, proxy: o.sigProxy && !c.Spec.Process.TTY}
	size := [4]uint16{}
	if c.Spec.Process.TTY {
		size = s.terminalSize()
	}
	g, err := e.StartHere(ctx, c, size)
	if err != nil {
		return err
	}
	app.warn(e.LateWarning(c.Snapshot))
	return s.serve(ctx, e, c, g)
}
