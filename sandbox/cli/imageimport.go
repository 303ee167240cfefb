//go:build !hot

package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine/images"
)

var importCommand = Command{
	Name: "import", Aliases: []string{"image import"}, Args: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
	Short: "Import the contents from a tarball to create a filesystem image", Min: 1, Max: 2,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := images.Import{}
		fs.StringArrayVarP(&o.Changes, "change", "c", nil, "Apply Dockerfile instruction to the created image")
		fs.StringVarP(&o.Message, "message", "m", "", "Set commit message for imported image")
		fs.StringVar(&o.Platform, "platform", "", "Set platform if server is multi-platform capable")
		return func(ctx context.Context, app *App, args []string) error {
			ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
			defer stop()
			if len(args) > 1 {
				o.Name = args[1]
			}
			return interrupted(ctx, app.importImage(ctx, args[0], o))
		}
	},
}

func (a *App) importImage(ctx context.Context, source string, o images.Import) error {
	s, err := a.images()
	if err != nil {
		return err
	}
	in, err := images.OpenSource(ctx, source, a.In)
	if err != nil {
		return err
	}
	defer in.Close()
	id, err := s.Import(ctx, in, o)
	if err == nil {
		fmt.Fprintln(a.Out, id)
	}
	return err
}
