//go:build !hot

package cli

import (
	"context"
	"strconv"

	"github.com/spf13/pflag"
)

var imagePruneCommand = Command{
	Name: "image prune", Args: "[OPTIONS]", Short: "Remove unused images", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		all := fs.BoolP("all", "a", false, "Remove all unused images, not just dangling ones")
		filter := fs.StringArray("filter", nil, "Provide filter values (e.g. \"until=<timestamp>\")")
		force := fs.BoolP("force", "f", false, "Do not prompt for confirmation")
		return func(ctx context.Context, app *App, _ []string) error {
			return app.imagePrune(ctx, *filter, *all, *force)
		}
	},
}

func (a *App) imagePrune(ctx context.Context, filter []string, all, force bool) error {
	p, err := parsePruneFilter(filter, "until", "label", "label!", "dangling")
	if err != nil {
		return err
	}
	f, _ := parseFilters(filter, "until", "label", "label!", "dangling") // the same list again
	for _, v := range f["dangling"] {
		if only, err := strconv.ParseBool(v); err == nil {
			all = !only
		}
	}
	if _, err := a.Engine(); err != nil {
		return err
	}
	a.sudoNote()
	warning := "This will remove all dangling images."
	if all {
		warning = "This will remove all images without at least one container associated to them."
	}
	if !a.sure(force, warning) {
		return nil
	}
	freed, err := a.pruneImages(ctx, p, all)
	a.reclaimed(freed)
	return err
}
