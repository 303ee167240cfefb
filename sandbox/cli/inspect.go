//go:build !hot

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// inspectOptions are the flags of inspect.
type inspectOptions struct {
	format string
	kind   string
	size   bool
}

// inspectSetup makes inspect for one kind of object, or for all.
func inspectSetup(kind string) func(*pflag.FlagSet) Runner {
	return func(fs *pflag.FlagSet) Runner {
		o := &inspectOptions{kind: kind}
		fs.StringVarP(&o.format, "format", "f", "", "Format output using a custom template")
		if kind == "" {
			fs.StringVar(&o.kind, "type", "", "Only inspect objects of the given type")
		}
		if kind != "image" {
			fs.BoolVarP(&o.size, "size", "s", false, "Display total file sizes if the type is container")
		}
		return o.run
	}
}

var (
	inspectCommand          = Command{Name: "inspect", Args: "[OPTIONS] NAME|ID [NAME|ID...]", Short: "Return low-level information on objects", Min: 1, Max: -1, Setup: inspectSetup("")}
	inspectContainerCommand = Command{Name: "container inspect", Args: "[OPTIONS] CONTAINER [CONTAINER...]", Short: "Display detailed information on one or more containers", Min: 1, Max: -1, Setup: inspectSetup("container")}
	inspectImageCommand     = Command{Name: "image inspect", Args: "[OPTIONS] IMAGE [IMAGE...]", Short: "Display detailed information on one or more images", Min: 1, Max: -1, Setup: inspectSetup("image")}
)

func (o *inspectOptions) run(ctx context.Context, app *App, args []string) error {
	switch o.kind {
	case "", "container", "image", "network", "volume":
	default:
		return fmt.Errorf("%q is not a valid value for --type", o.kind)
	}
	e, err := app.Engine()
	if err != nil {
		return err
	}
	var found []any
	var missing []error
	for _, name := range args {
		v, err := o.find(ctx, e, name)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		found = append(found, v)
	}
	if err := o.print(app, found); err != nil {
		return err
	}
	for _, err := range missing {
		fmt.Fprintf(app.Err, "Error: %s\n", Quote(err.Error()))
	}
	if len(missing) > 0 {
		return exit(1)
	}
	return nil
}

// find looks for a container, then for an image.
func (o *inspectOptions) find(ctx context.Context, e *engine.Engine, name string) (any, error) {
	switch o.kind {
	case "network":
		return inspectNetwork(ctx, e, name)
	case "volume":
		return inspectVolume(ctx, e, name)
	}
	if o.kind != "image" {
		c, err := e.Find(ctx, name)
		if err == nil {
			v := view.Inspect(c)
			if o.size {
				v.SizeRw, v.SizeRootFs = sizes(c)
			}
			return v, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if o.kind == "container" {
			return nil, fmt.Errorf("No such container: %s", name)
		}
	}
	st, err := e.Images()
	if err != nil {
		return nil, err
	}
	m, err := st.Inspect(name)
	switch {
	case err == nil:
		return view.InspectImage(m, e.LayerDirs(m)), nil
	case o.kind == "image":
		return nil, fmt.Errorf("No such image: %s", name)
	}
	for _, other := range []func(context.Context, *engine.Engine, string) (any, error){inspectNetwork, inspectVolume} {
		if v, err := other(ctx, e, name); err == nil {
			return v, nil
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("No such object: %s", name)
	}
	var bad interface{ Error() string }
	if errors.As(err, &bad) && strings.Contains(bad.Error(), "reference format") {
		return nil, fmt.Errorf("No such object: %s", name)
	}
	return nil, err
}

func inspectNetwork(ctx context.Context, e *engine.Engine, name string) (any, error) {
	n, members, err := e.Network(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("No such network: %s", name)
	}
	return view.Network(n, members), nil
}

func inspectVolume(ctx context.Context, e *engine.Engine, name string) (any, error) {
	v, err := e.Volume(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("No such volume: %s", name)
	}
	return view.Volume(v), nil
}

// print prints the JSON array, or a line per object by the template.
func (o *inspectOptions) print(app *App, found []any) error {
	if o.format == "" || o.format == "json" {
		if found == nil {
			found = []any{}
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if o.format == "" {
			enc.SetIndent("", "    ")
		}
		if err := enc.Encode(found); err != nil {
			return err
		}
		_, err := app.Out.Write(b.Bytes())
		return err
	}
	t, err := parseTemplate(o.format)
	if err != nil {
		return err
	}
	for _, v := range found {
		if err := execute(app.Out, t, v); err != nil {
			return err
		}
	}
	return nil
}

// sizes are the bytes of a container's changes, and of its whole root.
func sizes(c *sandbox.Snapshot) (rw, root *int64) {
	up, all := engine.Sizes(c)
	return &up, &all
}

func treeSize(dir string) int64 { return engine.TreeSize(dir) }
