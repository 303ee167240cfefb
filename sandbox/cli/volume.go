//go:build !hot

package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/filter"
	"github.com/moss-sandbox/moss/sandbox/view"
)

var volumeCreateCommand = Command{
	Name: "volume create", Args: "[OPTIONS] [VOLUME]", Short: "Create a volume", Min: 0, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		driver := fs.StringP("driver", "d", "local", "Specify volume driver name")
		labels := fs.StringArray("label", nil, "Set metadata for a volume")
		name := fs.String("name", "", "")
		_ = fs.MarkHidden("name")
		return func(_ context.Context, app *App, args []string) error {
			if *driver != "local" {
				return fmt.Errorf("create %s: error looking up volume plugin %s: plugin \"%s\" not found", cmp.Or(append(args, *name)...), *driver, *driver)
			}
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			made, err := e.CreateVolume(cmp.Or(append(args, *name)...), labelMap(*labels))
			if err != nil {
				return err
			}
			fmt.Fprintln(app.Out, made)
			return nil
		}
	},
}

func labelMap(list []string) map[string]string {
	out := map[string]string{}
	for _, l := range list {
		k, v, _ := strings.Cut(l, "=")
		out[k] = v
	}
	return out
}

// volumeRow is what a template of volume ls sees.
type volumeRow struct {
	Driver, Name, Scope, Mountpoint, Labels, Links, Size string
	v                                                    *engine.Volume
}

// Label is the value of a label.
func (r volumeRow) Label(name string) string { return r.v.Labels[name] }

var volumeHeads = map[string]string{
	"Driver": "DRIVER", "Name": "VOLUME NAME", "Scope": "SCOPE", "Mountpoint": "MOUNTPOINT", "Labels": "LABELS", "Links": "LINKS", "Size": "SIZE",
}

var volumeListCommand = Command{
	Name: "volume ls", Aliases: []string{"volume list"}, Args: "[OPTIONS]", Short: "List volumes", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		filter := fs.StringArrayP("filter", "f", nil, "Provide filter values (e.g. \"dangling=true\")")
		format := fs.String("format", "", "Format output using a custom template")
		quiet := fs.BoolP("quiet", "q", false, "Only display volume names")
		return func(ctx context.Context, app *App, _ []string) error {
			f, err := parseFilters(*filter, "dangling", "driver", "label", "name")
			if err != nil {
				return err
			}
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			list, err := e.Volumes(ctx)
			if err != nil {
				return err
			}
			var out []volumeRow
			for _, v := range list {
				if keepsVolume(v, f) {
					out = append(out, volumeRow{Driver: "local", Name: v.Name, Scope: "local", Mountpoint: v.Dir, Labels: labelText(v.Labels), Links: "N/A", Size: "N/A", v: v})
				}
			}
			switch {
			case *quiet && *format == "":
				*format = "{{.Name}}"
			case *format == "" || *format == "table":
				*format = `table {{.Driver}}\t{{.Name}}`
			}
			return rows(app.Out, *format, volumeHeads, out)
		}
	},
}

func labelText(labels map[string]string) string {
	var out []string
	for k, v := range labels {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return strings.Join(out, ",")
}

func keepsVolume(v *engine.Volume, f filter.Set) bool {
	return filter.HasLabels(v.Labels, f["label"]) &&
		f.Any("name", func(s string) bool { return strings.Contains(v.Name, s) }) &&
		f.Any("driver", func(s string) bool { return s == "local" }) &&
		f.Any("dangling", func(s string) bool { on, err := strconv.ParseBool(s); return err == nil && on == (len(v.Users) == 0) })
}

var volumeInspectCommand = Command{
	Name: "volume inspect", Args: "[OPTIONS] VOLUME [VOLUME...]", Short: "Display detailed information on one or more volumes", Min: 1, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		format := fs.StringP("format", "f", "", "Format output using a custom template")
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			found := []any{}
			var missing []error
			for _, name := range args {
				v, err := e.Volume(ctx, name)
				if err != nil {
					missing = append(missing, err)
					continue
				}
				found = append(found, view.Volume(v))
			}
			if err := app.printObjects(*format, found); err != nil {
				return err
			}
			for _, err := range missing {
				app.printError(err)
			}
			if len(missing) > 0 {
				return exit(1)
			}
			return nil
		}
	},
}

// printObjects prints a JSON array, or each object by a template.
func (a *App) printObjects(format string, found []any) error {
	if format != "" && format != "json" {
		t, err := parseTemplate(format)
		if err != nil {
			return err
		}
		for _, v := range found {
			if err := execute(a.Out, t, v); err != nil {
				return err
			}
		}
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if format == "" {
		enc.SetIndent("", "    ")
	}
	if err := enc.Encode(found); err != nil {
		return err
	}
	_, err := a.Out.Write(b.Bytes())
	return err
}

var volumeRemoveCommand = Command{
	Name: "volume rm", Aliases: []string{"volume remove"}, Args: "[OPTIONS] VOLUME [VOLUME...]", Short: "Remove one or more volumes", Min: 1, Max: -1,
	Setup: func(flags *pflag.FlagSet) Runner {
		force := flags.BoolP("force", "f", false, "Force the removal of one or more volumes")
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			return app.each(args, func(name string) error {
				err := e.RemoveVolume(ctx, name)
				if *force && errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				return err
			})
		}
	},
}
