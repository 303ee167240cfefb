//go:build !hot

package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image/store"
)

var systemCheckCommand = Command{
	Name: "system check", Args: "[OPTIONS]", Short: "Hash all images and unpacked layers, and tell what is damaged", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		repair := fs.Bool("repair", false, "Set aside what is damaged and unpack again what can be")
		return func(ctx context.Context, app *App, _ []string) error { return app.systemCheck(ctx, *repair) }
	},
}

func (a *App) systemCheck(ctx context.Context, repair bool) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := a.images()
	if err != nil {
		return err
	}
	a.sudoNote()
	how := store.OnlyLook
	if repair {
		how = store.SetAside
	}
	found, err := s.Check(ctx, how)
	left := 0
	for _, p := range found {
		fmt.Fprintln(a.Out, Quote(p.String()))
		if !p.Repaired {
			left++
		}
	}
	switch {
	case err != nil:
		return interrupted(ctx, err)
	case len(found) == 0:
		fmt.Fprintln(a.Out, "All images are whole.")
		return nil
	case left == 0:
		return nil
	case !repair:
		fmt.Fprintln(a.Err, "hint: `moss system check --repair` sets aside what is damaged; what is missing comes with a pull")
	}
	return exit(1)
}
