//go:build !hot

package cli

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"text/template"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/phrase"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// eventsOptions are the flags of events.
type eventsOptions struct {
	since, until, format string
	filter               []string
}

var eventsCommand = Command{
	Name: "events", Aliases: []string{"system events"}, Args: "[OPTIONS]", Short: "Get real time events from the server", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &eventsOptions{}
		fs.StringArrayVarP(&o.filter, "filter", "f", nil, "Filter output based on conditions provided")
		fs.StringVar(&o.format, "format", "", "Format output using a custom template")
		fs.StringVar(&o.since, "since", "", "Show all events created since timestamp")
		fs.StringVar(&o.until, "until", "", "Stream events until this timestamp")
		return o.run
	},
}

func (o *eventsOptions) run(ctx context.Context, app *App, _ []string) error {
	f, err := parseFilters(o.filter, "config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret", "service", "type", "volume")
	if err != nil {
		return err
	}
	var q engine.EventQuery
	if q.Since, err = ParseTime(o.since); err != nil {
		return err
	}
	if q.Until, err = ParseTime(o.until); err != nil {
		return fmt.Errorf("invalid value for \"until\": failed to parse value as time or duration: %q", o.until)
	}
	var t *template.Template
	if o.format != "" {
		if o.format == "json" {
			o.format = "{{json .}}"
		}
		if t, err = parseTemplate(o.format); err != nil {
			return err
		}
	}
	e, err := app.Engine()
	if err != nil {
		return err
	}
	app.sudoNote()
	return e.Events(ctx, q, func(ev sandbox.Event) error {
		if !f.Event(ev) {
			return nil
		}
		if t != nil {
			return execute(app.Out, t, view.Message(ev))
		}
		_, err := fmt.Fprintln(app.Out, eventLine(ev))
		return err
	})
}

// eventLine is an event in Docker's form: time, type, action, id, attributes in order.
func eventLine(ev sandbox.Event) string {
	var attrs []string
	for k, v := range ev.Attrs {
		attrs = append(attrs, k+"="+v)
	}
	sort.Strings(attrs)
	s := ev.Time.Local().Format(phrase.Stamp) + " " + ev.Type + " " + ev.Act + " " + ev.ID
	if len(attrs) > 0 {
		s += " (" + strings.Join(attrs, ", ") + ")"
	}
	return strings.ReplaceAll(Quote(s), "\n", `\n`)
}
