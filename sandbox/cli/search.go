//go:build !hot

package cli

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image/registry"
)

// searchOptions are the flags of search.
type searchOptions struct {
	filter []string
	limit  int
	long   bool
	format string
}

var searchCommand = Command{
	Name: "search", Args: "[OPTIONS] TERM", Short: "Search a registry for images: Docker Hub, or the one the term begins with", Min: 1, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &searchOptions{}
		fs.StringArrayVarP(&o.filter, "filter", "f", nil, "Filter output based on conditions provided")
		fs.IntVar(&o.limit, "limit", 0, "Max number of search results")
		fs.BoolVar(&o.long, "no-trunc", false, "Don't truncate output")
		fs.StringVar(&o.format, "format", "", "Pretty-print search using a Go template")
		return o.run
	},
}

// searchRow is what a template of search sees.
type searchRow struct{ Description, IsAutomated, IsOfficial, Name, StarCount string }

var searchHeads = map[string]string{"Description": "DESCRIPTION", "IsAutomated": "AUTOMATED", "IsOfficial": "OFFICIAL", "Name": "NAME", "StarCount": "STARS"}

func (o *searchOptions) run(ctx context.Context, app *App, args []string) error {
	keep, err := o.keep()
	if err != nil {
		return err
	}
	s, err := app.images()
	if err != nil {
		return err
	}
	found, err := s.Search(ctx, args[0], o.limit)
	if err != nil {
		return err
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].Stars > found[j].Stars })
	out := []searchRow{}
	for _, f := range found {
		if keep(f) {
			out = append(out, o.row(f))
		}
	}
	format := o.format
	if format == "" || format == "table" {
		format = `table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}`
	}
	return rows(app.Out, format, searchHeads, out)
}

func (o *searchOptions) row(f registry.Found) searchRow {
	mark := func(yes bool) string {
		if yes {
			return "[OK]"
		}
		return ""
	}
	description := strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(f.Description)
	if !o.long {
		description = ellipsis(description, 45)
	}
	return searchRow{Quote(description), mark(f.Automated), mark(f.Official), Quote(f.Name), strconv.Itoa(f.Stars)}
}

// keep makes a test of the filters: is-official, is-automated, stars (at least).
func (o *searchOptions) keep() (func(registry.Found) bool, error) {
	f, err := parseFilters(o.filter, "is-official", "is-automated", "stars")
	if err != nil {
		return nil, err
	}
	stars := 0
	for _, v := range f["stars"] {
		n, err := strconv.Atoi(v)
		if err != nil {
			return nil, fmt.Errorf("invalid filter 'stars=%s'", v)
		}
		stars = max(stars, n)
	}
	for _, k := range []string{"is-official", "is-automated"} {
		for _, v := range f[k] {
			if _, err := strconv.ParseBool(v); err != nil {
				return nil, fmt.Errorf("invalid filter '%s=%s'", k, v)
			}
		}
	}
	is := func(have bool) func(string) bool {
		return func(v string) bool { want, _ := strconv.ParseBool(v); return want == have }
	}
	return func(r registry.Found) bool {
		return r.Stars >= stars && f.Any("is-official", is(r.Official)) && f.Any("is-automated", is(r.Automated))
	}, nil
}
