package cli

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
)

// updateOptions are the flags of update.
type updateOptions struct {
	limits  limitOptions
	restart string
}

var updateCommand = Command{
	Name: "update", Aliases: []string{"container update"}, Args: "[OPTIONS] CONTAINER [CONTAINER...]", Short: "Update configuration of one or more containers", Min: 1, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &updateOptions{}
		o.limits.addShared(fs)
		fs.StringVar(&o.restart, "restart", "", "Restart policy to apply when a container exits")
		return o.run
	},
}

func (o *updateOptions) run(ctx context.Context, app *App, args []string) error {
	if o.limits.fs.NFlag() == 0 {
		return errors.New("you must provide one or more flags when using this command")
	}
	l, err := o.limits.asked()
	if err != nil {
		return err
	}
	ch := engine.Change{Limits: l, Strict: o.limits.strict}
	if o.restart != "" {
		r, err := parseRestart(o.restart)
		if err != nil {
			return err
		}
		ch.Restart = &r
	}
	e, err := app.Engine()
	if err != nil {
		return err
	}
	return app.each(args, func(name string) error {
		warnings, err := e.Update(ctx, name, ch)
		app.warn(warnings)
		return err
	})
}
