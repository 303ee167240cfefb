//go:build !hot

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/limits/stats"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
)

// statsOptions are the flags of stats.
type statsOptions struct {
	all, once, long bool
	format          string
}

var statsCommand = Command{
	Name: "stats", Aliases: []string{"container stats"}, Args: "[OPTIONS] [CONTAINER...]", Short: "Display a live stream of container(s) resource usage statistics", Min: 0, Max: -1,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &statsOptions{}
		fs.BoolVarP(&o.all, "all", "a", false, "Show all containers (default shows just running)")
		fs.BoolVar(&o.once, "no-stream", false, "Disable streaming stats and only pull the first result")
		fs.BoolVar(&o.long, "no-trunc", false, "Do not truncate output")
		fs.StringVar(&o.format, "format", "", "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'")
		return o.run
	},
}

// statsFormat is the table that is shown without --format.
const statsFormat = `table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}`

var statsHeads = map[string]string{
	"Container": "CONTAINER", "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT", "MemPerc": "MEM %",
	"NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
}

// statsRow is one line as Docker's templates know it.
type statsRow struct {
	BlockIO, CPUPerc, Container, ID, MemPerc, MemUsage, Name, NetIO, PIDs string
}

// Times between samples: the second one comes soon, since a rate needs two.
const (
	firstInterval = 500 * time.Millisecond
	nextInterval  = time.Second
)

func (o *statsOptions) run(ctx context.Context, app *App, args []string) error {
	if o.format == "" || o.format == "table" {
		o.format = statsFormat
	}
	if _, err := parseTemplate(strings.TrimPrefix(o.format, "table ")); err != nil {
		return err
	}
	e, err := app.Engine()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM) // the usual end of a live table: no failure
	defer stop()
	m := &meter{e: e, names: args, all: o.all, sources: map[string]*metered{}}
	defer m.close()
	if err := m.find(ctx); err != nil {
		return err
	}
	screen := &statsScreen{app: app, format: o.format, long: o.long, live: !o.once && app.onTerminal()}
	if screen.live {
		if err := screen.show(m); err != nil {
			return err
		}
	}
	return o.rounds(ctx, m, screen)
}

// rounds samples and shows until the user has seen enough.
func (o *statsOptions) rounds(ctx context.Context, m *meter, screen *statsScreen) error {
	m.sample()
	for wait := firstInterval; ; wait = nextInterval {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if err := m.refresh(ctx); err != nil || len(m.names) > 0 && len(m.shown) == 0 {
			return err
		}
		m.sample()
		if err := screen.show(m); err != nil || o.once {
			return err
		}
	}
}

// A meter reads containers again and again.
type meter struct {
	e       *engine.Engine
	names   []string // those asked for; none for all
	all     bool
	found   bool // all of them once
	shown   []*metered
	sources map[string]*metered
	changes time.Time // of the events when the containers were looked for
}

// metered is one container.
type metered struct {
	*sandbox.Snapshot
	as          string // typed
	source      *stats.Source
	limit       int64
	before, now stats.Sample
}

// refresh looks for the containers again where something has happened to one.
func (m *meter) refresh(ctx context.Context) error {
	if m.e.LastEvent().Equal(m.changes) {
		return nil
	}
	return m.find(ctx)
}

func (m *meter) find(ctx context.Context) error {
	m.changes = m.e.LastEvent()
	list, as, err := m.list(ctx)
	if err != nil {
		return err
	}
	old := m.sources
	m.sources, m.shown = map[string]*metered{}, nil
	for i, c := range list {
		x := old[c.ID]
		if x == nil || x.State.Guest != c.State.Guest || x.limit != engine.MemoryLimit(c) {
			x = m.open(c)
		} else {
			delete(old, c.ID)
		}
		x.Snapshot, x.as = c, as[i]
		m.sources[c.ID], m.shown = x, append(m.shown, x)
	}
	for _, x := range old {
		x.close()
	}
	return nil
}

// list is the containers to show, with the words that name them.
func (m *meter) list(ctx context.Context) (list []*sandbox.Snapshot, as []string, err error) {
	for _, name := range m.names {
		c, err := m.e.Find(ctx, name)
		if m.found && errors.Is(err, os.ErrNotExist) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		list, as = append(list, c), append(as, name)
	}
	m.found = true
	if len(m.names) > 0 {
		return list, as, nil
	}
	found, _ := m.e.List(ctx) // what cannot be read is told by ps
	sort.SliceStable(found, func(i, j int) bool { return found[i].Spec.Created.After(found[j].Spec.Created) })
	for _, c := range found {
		if m.all || c.State.Status.Up() {
			list, as = append(list, c), append(as, c.ID[:12])
		}
	}
	return list, as, nil
}

func (m *meter) open(c *sandbox.Snapshot) *metered {
	x := &metered{limit: engine.MemoryLimit(c)}
	if c.State.Status.Up() && !c.Foreign {
		x.source, _ = m.e.OpenStats(c) // it has ended: nothing is used
	}
	return x
}

func (m *meter) sample() {
	machine := stats.ReadMachine()
	for _, x := range m.shown {
		if x.source == nil {
			continue
		}
		s, err := x.source.Sample(machine)
		if err != nil {
			x.close()
			x.before, x.now = stats.Sample{}, stats.Sample{}
			continue
		}
		x.before, x.now = x.now, s
	}
}

func (m *meter) close() {
	for _, x := range m.sources {
		x.close()
	}
}

func (x *metered) close() {
	if x.source != nil {
		_ = x.source.Close()
		x.source = nil
	}
}

// row is the container's line: dashes before the first sample, nothing used where it does not run.
func (x *metered) row(long bool) statsRow {
	r := statsRow{Container: x.as, ID: shortID(x.ID, long), Name: x.Spec.Name}
	if x.source != nil && x.now.Time.IsZero() {
		r.CPUPerc, r.MemUsage, r.MemPerc, r.NetIO, r.BlockIO, r.PIDs = "--", "-- / --", "--", "--", "--", "--"
		return r
	}
	n := stats.Compute(x.before, x.now)
	r.CPUPerc, r.MemUsage, r.MemPerc = n.CPUText(), n.MemoryText(), n.PercentText()
	r.NetIO, r.BlockIO, r.PIDs = n.NetText(), n.BlockText(), n.PidsText()
	return r
}

// statsScreen shows the rows; a live one is drawn over the last.
type statsScreen struct {
	app    *App
	format string
	long   bool
	live   bool
	drawn  bool
}

func (s *statsScreen) show(m *meter) error {
	var list []statsRow
	for _, x := range m.shown {
		list = append(list, x.row(s.long))
	}
	var b bytes.Buffer
	if err := rows(&b, s.format, statsHeads, list); err != nil {
		return err
	}
	text := b.String()
	if s.live { // each line ends what stood there before, the last one all below (console_codes(4))
		text = "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
		if !s.drawn {
			text = "\x1b[2J" + text
		}
		s.drawn = true
	}
	_, err := fmt.Fprint(s.app.Out, text)
	return err
}

// onTerminal tells whether the output is a terminal.
func (a *App) onTerminal() bool {
	f, ok := a.outFile()
	return ok && isTerminal(f)
}
