package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

var createCommand = Command{
	Name: "create", Aliases: []string{"container create"}, Args: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
	Short: "Create a new container", Min: 1, Max: -1, Ordered: true,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &runOptions{}
		o.addFlags(fs)
		return func(ctx context.Context, app *App, args []string) error {
			return app.runError(o.onlyCreate(ctx, app, args))
		}
	},
}

func (o *runOptions) onlyCreate(ctx context.Context, app *App, args []string) error {
	c, err := o.create(app, args)
	if err != nil {
		return err
	}
	o.streams(c)
	e, err := app.Engine()
	if err != nil {
		return err
	}
	made, err := e.Create(ctx, c)
	if err != nil {
		return err
	}
	app.warn(made.Warnings)
	if err := o.writeCIDFile(made.ID); err != nil {
		return errors.Join(err, e.Discard(ctx, made))
	}
	fmt.Fprintln(app.Out, made.ID)
	return made.Served.Close()
}
