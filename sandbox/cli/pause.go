package cli

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
)

var pauseCommand = Command{
	Name: "pause", Aliases: []string{"container pause"}, Args: "CONTAINER [CONTAINER...]", Short: "Pause all processes within one or more containers", Min: 1, Max: -1,
	Setup: actSetup(func(ctx context.Context, e *engine.Engine, name string) error { return e.Pause(ctx, name) }),
}

var unpauseCommand = Command{
	Name: "unpause", Aliases: []string{"container unpause"}, Args: "CONTAINER [CONTAINER...]", Short: "Unpause all processes within one or more containers", Min: 1, Max: -1,
	Setup: actSetup(func(ctx context.Context, e *engine.Engine, name string) error { return e.Unpause(ctx, name) }),
}

// actSetup is a command that does one thing to each container.
func actSetup(act func(context.Context, *engine.Engine, string) error) func(*pflag.FlagSet) Runner {
	return func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			return app.each(args, func(name string) error { return act(ctx, e, name) })
		}
	}
}
