//go:build !hot

package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/userns/sys"
)

// live shows a build at a terminal. What has ended is written once and scrolls away; below it lie the steps that are under way,
// several when stages are built in parallel, each with its time and the end of its output, and are written over again and again.
type live struct {
	w  *os.File
	fd int

	mu      sync.Mutex
	begun   time.Time
	total   int
	done    int
	running []*liveStep
	layers  []registry.Event // of pulls under way
	shown   int              // lines that the next drawing replaces
	stop    chan struct{}
	ended   chan struct{}
}

// A liveStep is under way.
type liveStep struct {
	step  build.Step
	since time.Time
	tail  []string // the last lines of its output
	part  []byte   // a line that has not ended
}

// tailLines is how much of a command's output is shown while it runs.
const tailLines = 5

// tick is how often times move on.
const tick = 100 * time.Millisecond

func newLive(w *os.File) *live {
	l := &live{w: w, fd: int(w.Fd()), begun: time.Now(), stop: make(chan struct{}), ended: make(chan struct{})}
	go l.run()
	return l
}

// run redraws until close.
func (l *live) run() {
	defer close(l.ended)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
			l.mu.Lock()
			l.draw("")
			l.mu.Unlock()
		}
	}
}

// close implements buildDisplay: the last lines of a failed command are told by the error.
func (l *live) close() bool {
	close(l.stop)
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running, l.layers = nil, nil
	l.erase()
	return false
}

// aside implements buildDisplay.
func (l *live) aside(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	f()
}

func (l *live) erase() {
	if l.shown > 0 {
		fmt.Fprintf(l.w, "\x1b[%dA\x1b[J", l.shown)
	}
	l.shown = 0
}

// pulls implements buildDisplay.
func (l *live) pulls() progress { return livePulls{l} }

// livePulls shows the layers of pulls below the steps.
type livePulls struct{ l *live }

// Event implements registry.Progress.
func (p livePulls) Event(e registry.Event) {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	for i, old := range p.l.layers {
		if old.ID == e.ID {
			p.l.layers[i] = e
			return
		}
	}
	p.l.layers = append(p.l.layers, e)
}

func (livePulls) close() {}

// Event implements buildDisplay.
func (l *live) Event(e build.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := e.(type) {
	case build.Planned:
		l.total = e.Steps
	case build.Started:
		l.running = append(l.running, &liveStep{step: e.Step, since: time.Now()})
	case build.Printed:
		if s := l.of(e.Step); s != nil {
			s.print(e.Data)
		}
	case build.Finished:
		l.finished(e)
	case build.Failed:
		if l.of(e.Step) != nil {
			l.end(e.Step)
			l.draw(l.row(e.Step, "ERROR"))
		}
	case build.Warned:
		if e.Line == 0 {
			l.draw("warning: " + Quote(e.Message))
		}
	case build.Built:
		l.draw("Successfully built " + e.ID.Short())
	case build.Tagged:
		l.draw("Successfully tagged " + Quote(e.Name.Familiar()))
	}
}

func (l *live) finished(e build.Finished) {
	l.end(e.Step)
	if e.Step.Sub == 0 {
		l.done++
	}
	if len(l.running) == 0 {
		l.layers = nil // those of a FROM that is done
	}
	mark := seconds(e.Elapsed)
	if e.Cached && !strings.HasPrefix(e.Step.Text, "FROM") {
		mark = "CACHED"
	}
	l.draw(l.row(e.Step, mark))
}

func (l *live) of(step build.Step) *liveStep {
	for _, s := range l.running {
		if s.step == step {
			return s
		}
	}
	return nil
}

func (l *live) end(step build.Step) {
	for i, s := range l.running {
		if s.step == step {
			l.running = append(l.running[:i:i], l.running[i+1:]...)
			return
		}
	}
}

// print keeps the last lines. A carriage return begins a line anew, as programs that show progress mean it.
func (s *liveStep) print(b []byte) {
	s.part = append(s.part, b...)
	for {
		i := bytes.IndexByte(s.part, '\n')
		if i < 0 {
			break
		}
		s.add(s.part[:i])
		s.part = s.part[i+1:]
	}
	if i := bytes.LastIndexByte(s.part, '\r'); i >= 0 && i+1 < len(s.part) {
		s.part = s.part[i+1:]
	}
	if len(s.part) > 1024 {
		s.part = append([]byte(nil), s.part[:1024]...) // a screen shows less
	}
}

func (s *liveStep) add(line []byte) {
	line = bytes.TrimRight(line, "\r")
	line = line[bytes.LastIndexByte(line, '\r')+1:]
	s.tail = append(s.tail, Quote(strings.ReplaceAll(string(line), "\t", " ")))
	s.tail = s.tail[max(0, len(s.tail)-tailLines):]
}

// draw writes a line that stays, if any, and what is under way below it.
func (l *live) draw(stays string) {
	width, height := l.size()
	var b strings.Builder
	if l.shown > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", l.shown)
	}
	if stays != "" {
		b.WriteString(cut(stays, width) + "\n")
	}
	lines := l.under(height - 2)
	for _, s := range lines {
		b.WriteString(cut(s, width) + "\n")
	}
	l.shown = len(lines)
	_, _ = io.WriteString(l.w, b.String())
}

// size is the terminal's, or the usual one.
func (l *live) size() (width, height int) {
	if ws, err := sys.GetWinsize(l.fd); err == nil && ws.Col > 20 && ws.Row > 4 {
		return int(ws.Col), int(ws.Row)
	}
	return 80, 24
}

// under lists what is under way in at most n lines.
func (l *live) under(n int) []string {
	if len(l.running) == 0 {
		return nil
	}
	lines := []string{fmt.Sprintf("[+] Building %s (%d/%d)", seconds(time.Since(l.begun)), l.done, l.total)}
	for _, s := range l.running {
		lines = append(lines, l.row(s.step, seconds(time.Since(s.since))))
		for _, t := range s.tail {
			lines = append(lines, " => # "+t)
		}
	}
	for _, e := range l.layers {
		if e.Phase != registry.PhasePullingFrom {
			lines = append(lines, " => "+layerLine(e))
		}
	}
	if len(lines) > n {
		lines = append(lines[:1:1], lines[len(lines)-n+1:]...)
	}
	return lines
}

func layerLine(e registry.Event) string {
	if e.Total > 0 {
		return line(e) + " " + bar(e.Current, e.Total, 20)
	}
	return line(e)
}

// row is a step: its place, its words, and what there is to say of it.
func (l *live) row(s build.Step, mark string) string {
	text, _, more := strings.Cut(s.Text, "\n")
	if more {
		text += " …"
	}
	head := fmt.Sprintf(" => [%s %d/%d] ", shorten(Quote(s.Name), 20), s.Number, s.Total)
	width, _ := l.size()
	return head + shorten(Quote(text), max(10, width-utf8.RuneCountInString(head)-len(mark)-2)) + "  " + mark
}

func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// cut makes a line fit one row of the terminal.
func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width])
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
