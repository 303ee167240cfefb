//go:build !hot

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/store"
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
		return o.run
	},
}

func (o *imagesOptions) run(_ context.Context, app *App, args []string) error {
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
	head := []string{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"}
	if o.digests {
		head = []string{"REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"}
	}
	t := newTable(head...)
	seen := map[image.Digest]bool{}
	for _, m := range list {
		for _, r := range imageRows(m) {
			if len(args) > 0 && !matches(args[0], r) {
				continue
			}
			id := shortID(string(m.ID), o.long)
			if o.long {
				id = string(m.ID)
			}
			if o.quiet {
				if !seen[m.ID] {
					fmt.Fprintln(app.Out, id)
				}
				seen[m.ID] = true
				continue
			}
			cells := []string{r.repo, r.tag, id, units.HumanDuration(time.Since(m.Created)) + " ago", units.HumanSizeWithPrecision(float64(m.Size), 3)}
			if o.digests {
				cells = append(cells[:2:2], append([]string{r.digest}, cells[2:]...)...)
			}
			t.row(cells...)
		}
	}
	if !o.quiet {
		t.print(app.Out)
	}
	return nil
}

// imageRow is one name of an image.
type imageRow struct{ repo, tag, digest string }

// imageRows are an image's names, or <none>.
func imageRows(m *store.Image) (out []imageRow) {
	digest := func(r image.Ref) string {
		for _, d := range m.Digests {
			if d.Name() == r.Name() {
				return string(d.Digest)
			}
		}
		return "<none>"
	}
	for _, n := range m.Names {
		out = append(out, imageRow{n.FamiliarName(), n.Tag, digest(n)})
	}
	if len(out) == 0 {
		r := imageRow{"<none>", "<none>", "<none>"}
		if len(m.Digests) > 0 {
			r.repo, r.digest = m.Digests[0].FamiliarName(), string(m.Digests[0].Digest)
		}
		out = append(out, r)
	}
	return out
}

func matches(want string, r imageRow) bool {
	ref, err := image.ParseRef(want)
	if err != nil || ref.FamiliarName() != r.repo {
		return false
	}
	return !hasTag(want) || ref.Tag == r.tag
}

var rmiCommand = Command{
	Name: "rmi", Aliases: []string{"image rm", "image remove"}, Args: "[OPTIONS] IMAGE [IMAGE...]", Short: "Remove one or more images", Min: 1, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		force := fs.BoolP("force", "f", false, "Force removal of the image")
		fs.Bool("no-prune", false, "")
		_ = fs.MarkHidden("no-prune")
		return func(ctx context.Context, app *App, args []string) error {
			s, err := app.images()
			if err != nil {
				return err
			}
			failed := false
			for _, name := range args {
				r, err := s.Remove(ctx, name, *force)
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

var historyCommand = Command{
	Name: "history", Aliases: []string{"image history"}, Args: "[OPTIONS] IMAGE", Short: "Show the history of an image", Min: 1, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		long := fs.Bool("no-trunc", false, "Don't truncate output")
		quiet := fs.BoolP("quiet", "q", false, "Only show image IDs")
		human := fs.BoolP("human", "H", true, "Print sizes and dates in human readable format")
		return func(_ context.Context, app *App, args []string) error {
			return app.history(args[0], *long, *quiet, *human)
		}
	},
}

func (a *App) history(name string, long, quiet, human bool) error {
	s, err := a.images()
	if err != nil {
		return err
	}
	rows, err := s.History(name)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("No such image: %s", name)
	}
	if err != nil {
		return err
	}
	t := newTable("IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT")
	for _, h := range rows {
		id := h.ID
		if id != "<missing>" {
			id = shortID(id, long)
		}
		if quiet {
			fmt.Fprintln(a.Out, id)
			continue
		}
		by := strings.Join(strings.Fields(h.CreatedBy), " ")
		if r := []rune(by); !long && len(r) > 45 {
			by = string(r[:44]) + "…"
		}
		created, size := units.HumanDuration(time.Since(h.Created))+" ago", units.HumanSizeWithPrecision(float64(h.Size), 3)
		if !human {
			created, size = h.Created.Format(time.RFC3339), fmt.Sprint(h.Size)
		}
		t.row(id, created, by, size, h.Comment)
	}
	if !quiet {
		t.print(a.Out)
	}
	return nil
}
