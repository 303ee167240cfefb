package cli

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/phrase"
)

var psCommand = Command{
	Name: "ps", Aliases: []string{"container ls", "container ps", "container list"}, Args: "[OPTIONS]", Short: "List containers", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		all := fs.BoolP("all", "a", false, "Show all containers (default shows just running)")
		quiet := fs.BoolP("quiet", "q", false, "Only display container IDs")
		last := fs.IntP("last", "n", -1, "Show n last created containers (includes all states)")
		latest := fs.BoolP("latest", "l", false, "Show the latest created container (includes all states)")
		long := fs.Bool("no-trunc", false, "Don't truncate output")
		filter := fs.StringArrayP("filter", "f", nil, "Filter output based on conditions provided")
		format := fs.String("format", "", "Format output using a custom template")
		size := fs.BoolP("size", "s", false, "Display total file sizes")
		return func(ctx context.Context, app *App, _ []string) error {
			if len(*filter) > 0 || *format != "" && *format != "table" || *size {
				return app.psFull(ctx, psOptions{all: *all, quiet: *quiet, last: *last, latest: *latest, long: *long, filter: *filter, format: *format, size: *size})
			}
			if *latest {
				*last = 1
			}
			return app.ps(ctx, *all || *last >= 0, *quiet, *last, *long)
		}
	},
}

// psOptions are the flags of ps, for the full program.
type psOptions struct {
	all, quiet, latest, long, size bool
	last                           int
	filter                         []string
	format                         string
}

// ps prints Docker's table.
func (a *App) ps(ctx context.Context, all, quiet bool, last int, long bool) error {
	e, err := a.Engine()
	if err != nil {
		return err
	}
	list, bad := e.List(ctx)
	for _, err := range bad {
		a.printError(err)
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Spec.Created.After(list[j].Spec.Created) })
	t := newTable("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
	n := 0
	var told []*sandbox.Snapshot
	for _, c := range list {
		if !all && !c.State.Status.Up() || last >= 0 && n >= last {
			continue
		}
		n++
		told = append(told, c)
		id := shortID(c.ID, long)
		if quiet {
			fmt.Fprintln(a.Out, id)
			continue
		}
		t.row(id, shortImage(c.Spec.Image, c.Spec.ImageID), Command20(c.Spec.Process.Args, long), units.HumanDuration(time.Since(c.Spec.Created))+" ago", Status(c), Ports(c), c.Spec.Name)
	}
	if !quiet {
		t.print(a.Out)
		for _, c := range told {
			a.hintOOM(c)
		}
	}
	return nil
}

func shortID(id string, long bool) string {
	id = strings.TrimPrefix(id, "sha256:")
	if long || len(id) < 12 {
		return id
	}
	return id[:12]
}

// shortImage is how an image's name is listed: as it was typed, an id cut.
func shortImage(name, id string) string {
	if hex := strings.TrimPrefix(id, "sha256:"); len(name) >= 12 && strings.HasPrefix(hex, strings.TrimPrefix(name, "sha256:")) {
		return shortID(name, false)
	}
	return name
}

// Command20 is a command line in double quotes, cut to 20 characters.
func Command20(args []string, long bool) string {
	s := shellWords(args)
	if !long && utf8.RuneCountInString(s) > 20 {
		r := []rune(s)
		s = string(r[:19]) + "…"
	}
	return strconv.Quote(s)
}

// shellWords joins arguments; those with spaces are in single quotes, as Docker lists them.
func shellWords(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a
		if strings.ContainsAny(a, " \t\n") {
			words[i] = "'" + a + "'"
		}
	}
	return strings.Join(words, " ")
}

// Status is the STATUS column: "Up 3 seconds", "Exited (0) 2 minutes ago".
func Status(c *sandbox.Snapshot) string { return phrase.Status(c) }
