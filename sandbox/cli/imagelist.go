//go:build !hot

package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox/filter"
)

// imagesOptions are the flags of images.
type imagesOptions struct {
	all, quiet, digests, long bool
	filter                    []string
	format                    string
}

var imagesCommand = Command{
	Name: "images", Aliases: []string{"image ls", "image list"}, Args: "[OPTIONS] [REPOSITORY[:TAG]]", Short: "List images", Min: 0, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &imagesOptions{}
		fs.BoolVarP(&o.all, "all", "a", false, "Show all images (default hides intermediate images)")
		fs.BoolVarP(&o.quiet, "quiet", "q", false, "Only show image IDs")
		fs.BoolVar(&o.digests, "digests", false, "Show digests")
		fs.BoolVar(&o.long, "no-trunc", false, "Don't truncate output")
		fs.StringArrayVarP(&o.filter, "filter", "f", nil, "Filter output based on conditions provided")
		fs.StringVar(&o.format, "format", "", "Format output using a custom template")
		return o.run
	},
}

// imageRow is one name of an image, and what a template of images sees.
type imageRow struct {
	Containers, CreatedAt, CreatedSince, Digest, ID, Repository, SharedSize, Size, Tag, UniqueSize, VirtualSize string
}

var imageHeads = map[string]string{
	"Containers": "CONTAINERS", "CreatedAt": "CREATED AT", "CreatedSince": "CREATED", "Digest": "DIGEST", "ID": "IMAGE ID", "Repository": "REPOSITORY",
	"SharedSize": "SHARED SIZE", "Size": "SIZE", "Tag": "TAG", "UniqueSize": "UNIQUE SIZE", "VirtualSize": "SIZE",
}

func (o *imagesOptions) run(_ context.Context, app *App, args []string) error {
	f, err := parseFilters(o.filter, "dangling", "label", "before", "since", "until", "reference")
	if err != nil {
		return err
	}
	e, err := app.Engine()
	if err != nil {
		return err
	}
	st, err := e.Images()
	if err != nil {
		return err
	}
	list, err := st.List()
	if err != nil {
		app.printError(err) // the images beside a broken file are good
	}
	if len(args) > 0 {
		f["reference"] = append(f["reference"], args[0])
	}
	keep, err := imageFilter(st, f)
	if err != nil {
		return err
	}
	steps := store.Intermediate(list)
	out := []imageRow{}
	for _, m := range list {
		if (o.all || !steps[m.ID]) && keep(m) {
			out = append(out, o.rows(m, f["reference"])...)
		}
	}
	return rows(app.Out, o.template(), imageHeads, out)
}

// template is the form of the output that the flags ask for.
func (o *imagesOptions) template() string {
	switch {
	case o.quiet:
		return "{{.ID}}"
	case o.format != "" && o.format != "table":
		return o.format
	case o.digests:
		return `table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}`
	}
	return `table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}`
}

// rows are an image's names that a reference asks for; an image without a name is one row of <none>.
func (o *imagesOptions) rows(m *store.Image, wanted []string) (out []imageRow) {
	row := imageRow{Containers: "N/A", SharedSize: "N/A", UniqueSize: "N/A", ID: shortID(string(m.ID), false), Repository: "<none>", Tag: "<none>", Digest: "<none>"}
	if o.long {
		row.ID = string(m.ID)
	}
	row.Size = units.HumanSizeWithPrecision(float64(m.Size), 3)
	row.VirtualSize = row.Size
	if !m.Created.IsZero() {
		row.CreatedAt, row.CreatedSince = m.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), units.HumanDuration(time.Since(m.Created))+" ago"
	}
	tagged := map[string]bool{}
	for _, n := range m.Names {
		tagged[n.Name()] = true
		if !askedFor(n, wanted) {
			continue
		}
		row.Repository, row.Tag = n.FamiliarName(), n.Tag
		row.Digest = digestIn(n, m.Digests)
		out = append(out, row)
	}
	for _, d := range m.Digests {
		if !tagged[d.Name()] && askedFor(d, wanted) {
			row.Repository, row.Tag, row.Digest = d.FamiliarName(), "<none>", string(d.Digest)
			out = append(out, row)
			tagged[d.Name()] = !o.digests
		}
	}
	if len(m.Names)+len(m.Digests) == 0 && len(wanted) == 0 {
		out = append(out, row)
	}
	return out
}

// digestIn is the digest an image has in a name's repository.
func digestIn(n image.Ref, digests []image.Ref) string {
	for _, d := range digests {
		if d.Name() == n.Name() {
			return string(d.Digest)
		}
	}
	return "<none>"
}

// askedFor tells whether a name is one of those asked for: by pattern, as Docker's, or the name in another spelling. With
// none asked for all are.
func askedFor(r image.Ref, wanted []string) bool {
	for _, w := range wanted {
		if whole, _ := path.Match(w, r.Familiar()); whole {
			return true
		}
		if repository, _ := path.Match(w, r.FamiliarName()); repository {
			return true
		}
		if ref, err := image.ParseRef(w); err == nil && ref.Name() == r.Name() && (!hasTag(w) || ref == r) {
			return true
		}
	}
	return len(wanted) == 0
}

// imageFilter makes a test of the filters on whole images; references are for their rows.
func imageFilter(st *store.Store, f filter.Set) (keep func(*store.Image) bool, err error) {
	var after, before []time.Time
	for _, name := range f["before"] {
		m, err := st.Lookup(name)
		if err != nil {
			return nil, err
		}
		before = append(before, m.Created)
	}
	for _, name := range f["since"] {
		m, err := st.Lookup(name)
		if err != nil {
			return nil, err
		}
		after = append(after, m.Created)
	}
	for _, v := range f["until"] {
		t, err := ParseTime(v)
		if err != nil {
			return nil, fmt.Errorf("invalid filter 'until=%s'", v)
		}
		before = append(before, t)
	}
	dangling, err := danglingFilter(f["dangling"])
	if err != nil {
		return nil, err
	}
	return func(m *store.Image) bool {
		late := slices.ContainsFunc(before, func(t time.Time) bool { return !m.Created.Before(t) })
		early := slices.ContainsFunc(after, func(t time.Time) bool { return !m.Created.After(t) })
		return !late && !early && filter.HasLabels(m.Config.Config.Labels, f["label"]) && dangling(m)
	}, nil
}

// danglingFilter reads dangling=true|false: whether an image has no tag.
func danglingFilter(values []string) (func(*store.Image) bool, error) {
	if len(values) == 0 {
		return func(*store.Image) bool { return true }, nil
	}
	want, err := strconv.ParseBool(values[len(values)-1])
	if err != nil {
		return nil, fmt.Errorf("invalid filter 'dangling=%s'", values[len(values)-1])
	}
	return func(m *store.Image) bool { return (len(m.Names) == 0) == want }, nil
}

var rmiCommand = Command{
	Name: "rmi", Aliases: []string{"image rm", "image remove"}, Args: "[OPTIONS] IMAGE [IMAGE...]", Short: "Remove one or more images", Min: 1, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		force := fs.BoolP("force", "f", false, "Force removal of the image")
		keep := fs.Bool("no-prune", false, "Do not delete untagged parents")
		return func(ctx context.Context, app *App, args []string) error {
			s, err := app.images()
			if err != nil {
				return err
			}
			failed := false
			for _, name := range args {
				r, err := s.RemoveWith(ctx, name, store.RemoveOptions{Force: *force, KeepParents: *keep})
				for _, u := range r.Untagged {
					fmt.Fprintln(app.Out, "Untagged: "+Quote(u))
				}
				for _, d := range r.Deleted {
					fmt.Fprintln(app.Out, "Deleted: "+string(d))
				}
				if errors.Is(err, store.ErrNotFound) {
					err = fmt.Errorf("No such image: %s", name)
				}
				if err != nil {
					app.printError(err)
					failed = true
				}
			}
			if failed {
				return exit(1)
			}
			return nil
		}
	},
}

var tagCommand = Command{
	Name: "tag", Aliases: []string{"image tag"}, Args: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", Short: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", Min: 2, Max: 2,
	Setup: func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, args []string) error {
			s, err := app.images()
			if err != nil {
				return err
			}
			err = s.Tag(ctx, args[0], args[1])
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("No such image: %s", args[0])
			}
			return err
		}
	},
}
