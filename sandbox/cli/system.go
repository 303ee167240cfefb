//go:build !hot

package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/slirp"
)

// dfRow is one line of system df, and what a template of it sees.
type dfRow struct{ Type, TotalCount, Active, Size, Reclaimable string }

var dfHeads = map[string]string{"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}

var systemDFCommand = Command{
	Name: "system df", Args: "[OPTIONS]", Short: "Show docker disk usage", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		format := fs.String("format", "", "Format output using a custom template")
		return func(ctx context.Context, app *App, _ []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			list, err := app.usageRows(ctx, e)
			if err != nil {
				return err
			}
			if *format == "" || *format == "table" {
				*format = `table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}`
			}
			return rows(app.Out, *format, dfHeads, list)
		}
	},
}

// dfLine makes a row; the share of what could be freed is told where there is anything.
func dfLine(kind string, total, active int, size, free int64) dfRow {
	r := dfRow{kind, strconv.Itoa(total), strconv.Itoa(active), units.HumanSize(float64(size)), units.HumanSize(float64(free))}
	if size > 0 {
		r.Reclaimable += fmt.Sprintf(" (%d%%)", free*100/size)
	}
	return r
}

func (a *App) usageRows(ctx context.Context, e *engine.Engine) ([]dfRow, error) {
	all, bad := e.List(ctx)
	for _, err := range bad {
		a.printError(err)
	}
	used := map[image.Digest]bool{}
	var size, free int64
	active := 0
	for _, c := range all {
		used[image.Digest(c.Spec.ImageID)] = true
		rw, _ := sizes(c)
		size += *rw
		if c.State.Status.Up() {
			active++
		} else {
			free += *rw
		}
	}
	containers := dfLine("Containers", len(all), active, size, free)
	images, err := imageUsage(e, used)
	if err != nil {
		return nil, err
	}
	volumes, err := volumeUsage(ctx, e)
	return []dfRow{images, containers, volumes}, err
}

func imageUsage(e *engine.Engine, used map[image.Digest]bool) (dfRow, error) {
	st, err := e.Images()
	if err != nil {
		return dfRow{}, err
	}
	list, err := st.List()
	if err != nil {
		return dfRow{}, err
	}
	var size, free int64
	active := 0
	for _, m := range list {
		size += m.Size
		if used[m.ID] {
			active++
		} else {
			free += m.Size
		}
	}
	return dfLine("Images", len(list), active, size, free), nil
}

func volumeUsage(ctx context.Context, e *engine.Engine) (dfRow, error) {
	list, err := e.Volumes(ctx)
	if err != nil {
		return dfRow{}, err
	}
	var size, free int64
	active := 0
	for _, v := range list {
		n := treeSize(v.Dir)
		size += n
		if len(v.Users) > 0 {
			active++
		} else {
			free += n
		}
	}
	return dfLine("Local Volumes", len(list), active, size, free), nil
}

// systemPruneOptions are the flags of system prune.
type systemPruneOptions struct {
	all, volumes, force bool
	filter              []string
}

var systemPruneCommand = Command{
	Name: "system prune", Args: "[OPTIONS]", Short: "Remove unused data", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &systemPruneOptions{}
		fs.BoolVarP(&o.all, "all", "a", false, "Remove all unused images not just dangling ones")
		fs.BoolVar(&o.volumes, "volumes", false, "Prune anonymous volumes")
		fs.BoolVarP(&o.force, "force", "f", false, "Do not prompt for confirmation")
		fs.StringArrayVar(&o.filter, "filter", nil, "Provide filter values (e.g. \"label=<key>=<value>\")")
		return o.run
	},
}

func (o *systemPruneOptions) run(ctx context.Context, app *App, _ []string) error {
	p, err := parsePruneFilter(o.filter, "until", "label", "label!")
	if err != nil {
		return err
	}
	e, err := app.Engine()
	if err != nil {
		return err
	}
	app.sudoNote()
	if !app.sure(o.force, o.warning()) {
		return nil
	}
	total := int64(0)
	containers, err := app.pruneContainers(ctx, e, p)
	containers.print(app)
	total += containers.bytes
	if err != nil {
		return err
	}
	if o.volumes {
		volumes, err := app.pruneVolumes(ctx, e, p)
		volumes.print(app)
		total += volumes.bytes
		if err != nil {
			return err
		}
	}
	gone, err := e.PruneNetworks(ctx, func(n *slirp.Network) bool { return !p.accepts(n.Created, n.Labels) })
	pruneReport{kind: "Networks", names: gone}.print(app)
	if err != nil {
		return err
	}
	freed, err := app.pruneImages(ctx, p, o.all)
	app.reclaimed(total + freed)
	return err
}

func (o *systemPruneOptions) warning() string {
	s := "This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n"
	if o.volumes {
		s += "  - all anonymous volumes not used by at least one container\n"
	}
	if o.all {
		return s + "  - all images without at least one container associated to them\n"
	}
	return s + "  - all dangling images\n"
}

// pruneImages removes images and prints Docker's list.
func (a *App) pruneImages(ctx context.Context, p pruneFilter, all bool) (freed int64, err error) {
	s, err := a.images()
	if err != nil {
		return 0, err
	}
	st, err := a.eng.Images()
	if err != nil {
		return 0, err
	}
	r, err := st.Prune(ctx, store.PruneOptions{All: all, Worker: s.Worker(), Keep: func(m *store.Image) bool {
		return !p.accepts(m.Created, m.Config.Config.Labels)
	}})
	list := pruneReport{kind: "Images"}
	for _, u := range r.Untagged {
		list.names = append(list.names, "untagged: "+Quote(u))
	}
	for _, d := range r.Deleted {
		list.names = append(list.names, "deleted: "+string(d))
	}
	list.print(a)
	return r.Freed, err
}

var systemResetCommand = Command{
	Name: "system reset", Args: "[OPTIONS]", Short: "Remove all containers, images, volumes and files of this account", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		force := fs.BoolP("force", "f", false, "Do not prompt for confirmation")
		return func(ctx context.Context, app *App, _ []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			if !app.sure(*force, "This will remove all containers, running ones too, all images, all volumes and "+Quote(e.Dirs.Data)+".") {
				return nil
			}
			return e.Reset(ctx)
		}
	},
}
