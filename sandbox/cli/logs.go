package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/output"
	"github.com/moss-sandbox/moss/sandbox/phrase"
)

// logsOptions are the flags of logs.
type logsOptions struct {
	follow, stamps bool
	tail           string
	since, until   string

	from, to time.Time
	last     int // lines; -1 for all
}

var logsCommand = Command{
	Name: "logs", Aliases: []string{"container logs"}, Args: "[OPTIONS] CONTAINER", Short: "Fetch the logs of a container", Min: 1, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &logsOptions{}
		fs.BoolVarP(&o.follow, "follow", "f", false, "Follow log output")
		fs.BoolVarP(&o.stamps, "timestamps", "t", false, "Show timestamps")
		fs.StringVarP(&o.tail, "tail", "n", "all", "Number of lines to show from the end of the logs")
		fs.StringVar(&o.since, "since", "", "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)")
		fs.StringVar(&o.until, "until", "", "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)")
		return o.run
	},
}

func (o *logsOptions) run(ctx context.Context, app *App, args []string) (err error) {
	if o.from, err = ParseTime(o.since); err != nil {
		return err
	}
	if o.to, err = ParseTime(o.until); err != nil {
		return err
	}
	o.last = -1
	if o.tail != "all" && o.tail != "" {
		if o.last, err = strconv.Atoi(o.tail); err != nil || o.last < 0 {
			o.last = -1 // as Docker: what is no number means all
		}
	}
	e, err := app.Engine()
	if err != nil {
		return err
	}
	c, err := e.Find(ctx, args[0])
	if err != nil {
		return err
	}
	if c.Spec.Log.Driver == "none" {
		return errors.New("configured logging driver does not support reading")
	}
	if err := o.print(ctx, app, c); err != nil {
		return err
	}
	app.hintOOM(c)
	return nil
}

// print prints what is there and, with -f, what comes until the container has ended.
func (o *logsOptions) print(ctx context.Context, app *App, c *sandbox.Snapshot) error {
	ended := func() bool {
		now, err := c.Look()
		return err != nil || now.State.Status == sandbox.Exited || now.State.Status == sandbox.Created
	}
	q := output.Query{Since: o.from, Until: o.to, Tail: o.last, Follow: o.follow}
	return output.Select(ctx, c.Dir, q, ended, func(ln output.Line) error { return o.write(app, ln) })
}

func (o *logsOptions) write(app *App, ln output.Line) error {
	to := app.Out
	if ln.Stream == output.Stderr {
		to = app.Err
	}
	if ln.Stream == output.Dropped {
		_, err := fmt.Fprintf(app.Err, "%s: %d bytes of output were dropped here: the disk was full\n", app.Name, ln.Lost)
		return err
	}
	if o.stamps {
		if _, err := io.WriteString(to, ln.Time.UTC().Format(phrase.Stamp)+" "); err != nil {
			return err
		}
	}
	_, err := to.Write(ln.Data)
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// ParseTime reads a time as Docker's --since does: RFC 3339, date, seconds after 1970, or a duration ago.
func ParseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(-d), nil
	}
	for _, f := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02Z07:00", "2006-01-02"} {
		if t, err := time.ParseInLocation(f, s, time.Local); err == nil {
			return t, nil
		}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return time.Unix(0, int64(f*1e9)), nil
	}
	return time.Time{}, fmt.Errorf("invalid value for \"since\": failed to parse value as time or duration: %q", s)
}
