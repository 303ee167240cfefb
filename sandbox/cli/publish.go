//go:build !hot

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
)

var publishCommand = Command{
	Name: "publish", Aliases: []string{"container publish"}, Args: "CONTAINER PORT [PORT...]",
	Short: "Publish more ports of a running container, as run -p does", Min: 2, Max: -1,
	Setup: func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			made, err := e.Publish(ctx, args[0], args[1:])
			for _, p := range made {
				fmt.Fprintf(app.Out, "%s -> %s\n", p.Port, p.Host)
			}
			return err
		}
	},
}

var unpublishCommand = Command{
	Name: "unpublish", Aliases: []string{"container unpublish"}, Args: "CONTAINER PORT [PORT...]",
	Short: "Take published ports of a running container back", Min: 2, Max: -1,
	Setup: func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			return e.Unpublish(ctx, args[0], args[1:])
		}
	},
}
