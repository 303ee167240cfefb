//go:build !hot

package cli

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"text/template"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
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
		if !wanted(ev, f) {
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
	s := ev.Time.Local().Format(stampFormat) + " " + ev.Type + " " + ev.Act + " " + ev.ID
	if len(attrs) > 0 {
		s += " (" + strings.Join(attrs, ", ") + ")"
	}
	return strings.ReplaceAll(Quote(s), "\n", `\n`)
}

// wanted tells whether an event passes the filters.
func wanted(ev sandbox.Event, f filters) bool {
	for _, l := range f["label"] {
		k, v, has := strings.Cut(l, "=")
		if got, ok := ev.Attrs[k]; !ok || has && got != v {
			return false
		}
	}
	if !f.any("type", func(v string) bool { return v == ev.Type }) || !f.any("scope", func(v string) bool { return v == "local" }) {
		return false
	}
	if !f.any("event", func(v string) bool { return ev.Act == v || strings.HasPrefix(ev.Act, v+":") }) {
		return false
	}
	for _, kind := range []string{"container", "volume", "network", "image"} {
		if !f.any(kind, func(v string) bool {
			return ev.Type == kind && named(ev, v) || kind == "image" && sameImage(ev.Attrs["image"], v)
		}) {
			return false
		}
	}
	return !slices.ContainsFunc([]string{"config", "daemon", "node", "plugin", "secret", "service"}, func(kind string) bool { return len(f[kind]) > 0 })
}

// named tells whether an event's object is meant by a name or the beginning of an id.
func named(ev sandbox.Event, v string) bool {
	return ev.Attrs["name"] == v || ev.ID == v || len(v) >= 1 && strings.HasPrefix(ev.ID, v) || ev.Type == "image" && sameImage(ev.Attrs["name"], v)
}

// sameImage compares names with and without a tag.
func sameImage(have, v string) bool {
	return have != "" && (have == v || strings.HasPrefix(have, v+":"))
}
