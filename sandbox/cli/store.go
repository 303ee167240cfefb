//go:build !hot

package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image/store"
)

var storePublishCommand = Command{
	Name: "store publish", Args: "DIR [IMAGE...]", Short: "Put images and this program into a directory that a class reads from", Min: 1, Max: -1,
	Setup: func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, args []string) error {
			ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
			defer stop()
			s, err := app.images()
			if err != nil {
				return err
			}
			program, err := s.Publish(ctx, args[0], args[1:], func(m *store.Image) {
				for _, n := range m.Names {
					fmt.Fprintln(app.Out, "Published: "+Quote(n.Familiar()))
				}
			})
			if err != nil {
				return interrupted(ctx, err)
			}
			fmt.Fprintf(app.Out, "The class uses it with: PATH=%s:$PATH\n", Quote(filepath.Dir(program)))
			return nil
		}
	},
}
