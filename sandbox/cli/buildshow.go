//go:build !hot

package cli

import (
	"io"
	"os"

	"github.com/moss-sandbox/moss/image/build"
)

// A buildDisplay shows a build to somebody.
type buildDisplay interface {
	// Event is told of the build, one event at a time.
	Event(build.Event)
	// pulls is told of the pulls of base images.
	pulls() progress
	// aside runs what writes to the same terminal.
	aside(func())
	// close ends the display; whether the end of a failed command's output has been seen decides who shows it.
	close() (shown bool)
}

// display is who hears of the build: a live display at a terminal, lines elsewhere, nobody with --quiet.
func (o *buildOptions) display(app *App) buildDisplay {
	if o.isQuiet() {
		return quietDisplay{}
	}
	if o.toStdout() {
		return newLines(app.Err) // the result itself goes to standard output
	}
	if f, ok := app.outFile(); ok && (o.progress == "tty" || o.progress == "auto" && isTerminal(f) && os.Getenv("TERM") != "dumb") {
		return newLive(f)
	}
	return newLines(app.Out)
}

// quietDisplay shows nothing.
type quietDisplay struct{}

func (quietDisplay) Event(build.Event) {}
func (quietDisplay) pulls() progress   { return silent{} }
func (quietDisplay) aside(f func())    { f() }
func (quietDisplay) close() bool       { return false }

// classicLines is Docker's classic output.
type classicLines struct {
	build.Classic
	w io.Writer
}

func newLines(w io.Writer) *classicLines {
	l := &classicLines{w: w}
	l.Text = func(s string) { _, _ = io.WriteString(w, s) }
	return l
}

func (l *classicLines) pulls() progress { return &events{w: l.w} }
func (l *classicLines) aside(f func())  { f() }
func (l *classicLines) close() bool     { return true }
