//go:build !hot

package cli

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/phrase"
)

var topCommand = Command{
	Name: "top", Aliases: []string{"container top"}, Args: "CONTAINER [ps OPTIONS]", Short: "Display the running processes of a container", Min: 1, Max: -1, Ordered: true,
	Setup: func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, args []string) error {
			columns, err := phrase.Columns(args[1:])
			if err != nil {
				return err
			}
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			list, err := e.Top(ctx, args[0])
			if err != nil {
				return err
			}
			app.top(columns.Rows(list))
			return nil
		}
	},
}

// top prints the table as Docker does.
func (a *App) top(rows [][]string) {
	t := newTable(rows[0]...)
	for _, cells := range rows[1:] {
		t.row(cells...)
	}
	t.print(a.Out)
}
