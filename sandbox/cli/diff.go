//go:build !hot

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine/files"
)

var diffCommand = Command{
	Name: "diff", Aliases: []string{"container diff"}, Args: "CONTAINER", Short: "Inspect changes to files or directories on a container's filesystem", Min: 1, Max: 1,
	Setup: func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			c, err := e.Find(ctx, args[0])
			if err != nil {
				return err
			}
			list, err := files.Diff(ctx, e, c)
			if err != nil {
				return err
			}
			for _, d := range list {
				fmt.Fprintf(app.Out, "%s %s\n", d.Kind, strings.ReplaceAll(Quote(d.Path), "\n", `\n`))
			}
			return nil
		}
	},
}
