//go:build !hot

package cli

import (
	"context"

	"github.com/spf13/pflag"
)

var renameCommand = Command{
	Name: "rename", Aliases: []string{"container rename"}, Args: "CONTAINER NEW_NAME", Short: "Rename a container", Min: 2, Max: 2,
	Setup: func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			return e.Rename(ctx, args[0], args[1])
		}
	},
}
