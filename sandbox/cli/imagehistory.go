//go:build !hot

package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox/engine/images"
)

// historyOptions are the flags of history.
type historyOptions struct {
	long, quiet, human bool
	format             string
}

var historyCommand = Command{
	Name: "history", Aliases: []string{"image history"}, Args: "[OPTIONS] IMAGE", Short: "Show the history of an image", Min: 1, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &historyOptions{}
		fs.BoolVar(&o.long, "no-trunc", false, "Don't truncate output")
		fs.BoolVarP(&o.quiet, "quiet", "q", false, "Only show image IDs")
		fs.BoolVarP(&o.human, "human", "H", true, "Print sizes and dates in human readable format")
		fs.StringVar(&o.format, "format", "", "Format output using a custom template")
		return o.run
	},
}

// historyRow is one step, and what a template of history sees.
type historyRow struct{ Comment, CreatedAt, CreatedBy, CreatedSince, ID, Size string }

var historyHeads = map[string]string{
	"Comment": "COMMENT", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY", "CreatedSince": "CREATED", "ID": "IMAGE", "Size": "SIZE",
}

func (o *historyOptions) run(_ context.Context, app *App, args []string) error {
	s, err := app.images()
	if err != nil {
		return err
	}
	steps, err := s.History(args[0])
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("No such image: %s", args[0])
	}
	if err != nil {
		return err
	}
	out := make([]historyRow, len(steps))
	for i, step := range steps {
		out[i] = o.row(step)
	}
	return rows(app.Out, o.template(), historyHeads, out)
}

func (o *historyOptions) template() string {
	switch {
	case o.quiet:
		return "{{.ID}}"
	case o.format != "" && o.format != "table":
		return o.format
	case o.human:
		return `table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}`
	}
	return `table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}`
}

func (o *historyOptions) row(h images.Step) historyRow {
	r := historyRow{Comment: h.Comment, CreatedAt: h.Created.Local().Format(time.RFC3339), ID: h.ID, CreatedBy: strings.ReplaceAll(h.CreatedBy, "\t", " ")}
	if !o.long {
		r.CreatedBy = ellipsis(r.CreatedBy, 45)
		if h.ID != images.Missing {
			r.ID = shortID(h.ID, false)
		}
	}
	r.CreatedSince, r.Size = r.CreatedAt, strconv.FormatInt(h.Size, 10)
	if o.human {
		r.CreatedSince, r.Size = units.HumanDuration(time.Since(h.Created))+" ago", units.HumanSizeWithPrecision(float64(h.Size), 3)
	}
	return r
}

// ellipsis cuts a text to n characters, the last of which tells so.
func ellipsis(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
