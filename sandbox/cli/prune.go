//go:build !hot

package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/filter"
)

// sure asks before something is removed, unless --force was said. No answer means no.
func (a *App) sure(force bool, warning string) bool {
	if force {
		return true
	}
	fmt.Fprintf(a.Out, "WARNING! %s\nAre you sure you want to continue? [y/N] ", warning)
	line, _ := bufio.NewReader(a.In).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(line), "y")
}

// A pruneReport is what a prune has removed.
type pruneReport struct {
	kind  string // "Containers"
	names []string
	bytes int64
}

// print prints it in Docker's form, without the total.
func (r pruneReport) print(a *App) {
	if len(r.names) == 0 {
		return
	}
	fmt.Fprintf(a.Out, "Deleted %s:\n", r.kind)
	for _, n := range r.names {
		fmt.Fprintln(a.Out, n)
	}
	fmt.Fprintln(a.Out)
}

func (a *App) reclaimed(n int64) {
	fmt.Fprintf(a.Out, "Total reclaimed space: %s\n", units.HumanSize(float64(n)))
}

// pruneFilter is what --filter of a prune says: until=TIME, label=…, label!=….
type pruneFilter struct {
	until  time.Time
	labels []string
	not    []string
	all    bool
}

func parsePruneFilter(list []string, known ...string) (p pruneFilter, err error) {
	f, err := parseFilters(list, known...)
	if err != nil {
		return p, err
	}
	p.labels, p.not = f["label"], f["label!"]
	for _, v := range f["until"] {
		if p.until, err = ParseTime(v); err != nil {
			return p, fmt.Errorf("invalid filter 'until=%s'", v)
		}
	}
	for _, v := range f["all"] {
		p.all = v == "true" || v == "1"
	}
	return p, nil
}

func (p *pruneFilter) accepts(created time.Time, labels map[string]string) bool {
	if !p.until.IsZero() && created.After(p.until) || !filter.HasLabels(labels, p.labels) {
		return false
	}
	return len(p.not) == 0 || !filter.HasLabels(labels, p.not)
}

var containerPruneCommand = Command{
	Name: "container prune", Args: "[OPTIONS]", Short: "Remove all stopped containers", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		filter := fs.StringArray("filter", nil, "Provide filter values (e.g. \"until=<timestamp>\")")
		force := fs.BoolP("force", "f", false, "Do not prompt for confirmation")
		return func(ctx context.Context, app *App, _ []string) error {
			p, err := parsePruneFilter(*filter, "until", "label", "label!")
			if err != nil {
				return err
			}
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			if !app.sure(*force, "This will remove all stopped containers.") {
				return nil
			}
			r, err := app.pruneContainers(ctx, e, p)
			r.print(app)
			app.reclaimed(r.bytes)
			return err
		}
	},
}

func (a *App) pruneContainers(ctx context.Context, e *engine.Engine, p pruneFilter) (pruneReport, error) {
	size := map[string]int64{}
	removed, err := e.PruneContainers(ctx, func(c *sandbox.Snapshot) bool {
		if !p.accepts(c.Spec.Created, c.Spec.Labels) {
			return false
		}
		rw, _ := sizes(c)
		size[c.ID] = *rw
		return true
	})
	r := pruneReport{kind: "Containers", names: removed}
	for _, id := range removed {
		r.bytes += size[id]
	}
	return r, err
}

var volumePruneCommand = Command{
	Name: "volume prune", Args: "[OPTIONS]", Short: "Remove unused local volumes", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		all := fs.BoolP("all", "a", false, "Remove all unused volumes, not just anonymous ones")
		filter := fs.StringArray("filter", nil, "Provide filter values (e.g. \"label=<label>\")")
		force := fs.BoolP("force", "f", false, "Do not prompt for confirmation")
		return func(ctx context.Context, app *App, _ []string) error {
			p, err := parsePruneFilter(*filter, "label", "label!", "all")
			if err != nil {
				return err
			}
			p.all = p.all || *all
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			warning := "This will remove anonymous local volumes not used by at least one container."
			if p.all {
				warning = "This will remove all local volumes not used by at least one container."
			}
			if !app.sure(*force, warning) {
				return nil
			}
			r, err := app.pruneVolumes(ctx, e, p)
			r.print(app)
			app.reclaimed(r.bytes)
			return err
		}
	},
}

func (a *App) pruneVolumes(ctx context.Context, e *engine.Engine, p pruneFilter) (pruneReport, error) {
	size := map[string]int64{}
	removed, err := e.PruneVolumes(ctx, func(v *engine.Volume) bool {
		if !p.all && !v.Anonymous() || !p.accepts(v.Created, v.Labels) {
			return false
		}
		size[v.Name] = treeSize(v.Dir)
		return true
	})
	r := pruneReport{kind: "Volumes", names: removed}
	for _, name := range removed {
		r.bytes += size[name]
	}
	return r, err
}
