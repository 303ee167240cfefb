//go:build !hot

package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"

	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/userns/sys"
)

// progress shows what a pull or push does.
type progress interface {
	registry.Progress
	close()
}

type silent struct{ registry.Silent }

func (silent) close() {}

// progress is a bar per layer on a terminal, else a line per event.
func (a *App) progress() progress {
	if f, ok := a.outFile(); ok && isTerminal(f) && os.Getenv("TERM") != "dumb" {
		return &bars{w: f, fd: int(f.Fd()), at: map[string]int{}}
	}
	return &events{w: a.Out}
}

// events prints each change of phase as a line.
type events struct {
	mu   sync.Mutex
	w    io.Writer
	last map[string]registry.Phase
	head string // "Pulling from", held back until there is something to pull
}

// Event implements registry.Progress.
func (p *events) Event(e registry.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Phase == registry.PhaseDownloading || e.Phase == registry.PhaseExtracting || e.Phase == registry.PhasePushing {
		return
	}
	if p.last == nil {
		p.last = map[string]registry.Phase{}
	}
	if p.last[e.ID] == e.Phase && e.Phase != registry.PhaseDigest {
		return
	}
	p.last[e.ID] = e.Phase
	if e.Phase == registry.PhasePullingFrom {
		p.head = line(e) + "\n"
		return
	}
	fmt.Fprintln(p.w, p.head+line(e))
	p.head = ""
}

func (p *events) close() {}

// line is an event in Docker's words.
func line(e registry.Event) string {
	switch e.Phase {
	case registry.PhasePullingFrom, registry.PhaseMounted:
		return Quote(e.ID + ": " + string(e.Phase) + " " + e.Detail)
	case registry.PhaseDigest:
		return "Digest: " + Quote(e.Detail)
	case registry.PhasePushedTag:
		return fmt.Sprintf("%s: digest: %s size: %d", Quote(e.ID), e.Detail, e.Total)
	case registry.PhaseRetrying, registry.PhaseSkipped:
		return Quote(e.ID + ": " + string(e.Phase) + ": " + e.Detail)
	}
	return Quote(e.ID + ": " + string(e.Phase))
}

// bars redraws one line per layer.
type bars struct {
	mu    sync.Mutex
	w     io.Writer
	fd    int
	at    map[string]int // line of a layer
	lines []registry.Event
	drawn time.Time
	shown int
}

// redrawEvery bounds how often the terminal is written to.
const redrawEvery = 80 * time.Millisecond

// Event implements registry.Progress.
func (p *bars) Event(e registry.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i, ok := p.at[e.ID]; ok && e.Phase != registry.PhasePushedTag && e.Phase != registry.PhaseDigest {
		moved := p.lines[i].Phase == e.Phase
		p.lines[i] = e
		if moved && time.Since(p.drawn) < redrawEvery {
			return
		}
	} else {
		p.at[e.ID] = len(p.lines)
		p.lines = append(p.lines, e)
		if e.Phase == registry.PhasePullingFrom { // shown when there is something to pull
			return
		}
	}
	p.draw()
}

func (p *bars) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown > 0 {
		p.draw()
	}
}

// draw writes all lines over the ones before.
func (p *bars) draw() {
	width := 80
	if ws, err := sys.GetWinsize(p.fd); err == nil && ws.Col > 20 {
		width = int(ws.Col)
	}
	var b strings.Builder
	if p.shown > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.shown)
	}
	for _, e := range p.lines {
		s := line(e)
		if e.Total > 0 && (e.Phase == registry.PhaseDownloading || e.Phase == registry.PhaseExtracting || e.Phase == registry.PhasePushing) {
			s += " " + bar(e.Current, e.Total, width-len(s)-30) + fmt.Sprintf("  %8s/%s", units.HumanSizeWithPrecision(float64(e.Current), 4), units.HumanSizeWithPrecision(float64(e.Total), 4))
		}
		if r := []rune(s); len(r) > width {
			s = string(r[:width])
		}
		b.WriteString("\x1b[2K" + s + "\n")
	}
	p.shown, p.drawn = len(p.lines), time.Now()
	_, _ = io.WriteString(p.w, b.String())
}

// bar is Docker's bar: [=====>     ].
func bar(current, total int64, room int) string {
	n := max(min(room, 50), 10)
	done := int(int64(n) * min(current, total) / total)
	s := strings.Repeat("=", done)
	if done < n {
		s += ">" + strings.Repeat(" ", n-done-1)
	}
	return "[" + s + "]"
}
