//go:build !hot

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine/images"
)

var commitCommand = Command{
	Name: "commit", Aliases: []string{"container commit"}, Args: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", Short: "Create a new image from a container's changes", Min: 1, Max: 2,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := images.Commit{}
		fs.StringVarP(&o.Author, "author", "a", "", "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")")
		fs.StringVarP(&o.Message, "message", "m", "", "Commit message")
		fs.StringArrayVarP(&o.Changes, "change", "c", nil, "Apply Dockerfile instruction to the created image")
		pause := fs.BoolP("pause", "p", true, "Pause container during commit")
		fs.BoolVar(&o.NoPause, "no-pause", false, "Disable pausing container during commit")
		return func(ctx context.Context, app *App, args []string) error {
			s, err := app.images()
			if err != nil {
				return err
			}
			app.sudoNote()
			o.Container, o.NoPause = args[0], o.NoPause || !*pause
			if len(args) > 1 {
				o.Name = args[1]
			}
			id, err := s.Commit(ctx, o)
			if err != nil {
				return err
			}
			fmt.Fprintln(app.Out, id)
			return nil
		}
	},
}
