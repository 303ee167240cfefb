package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
)

// An App is one call of the program.
type App struct {
	Name string // moss, or docker where it is called so
	In   *os.File
	Out  io.Writer
	Err  io.Writer
	Root string // --root

	platform string // of the image that run asks for

	Version  string
	Serve    Server // nil in programs that cannot
	commands []Command
	eng      *engine.Engine
}

// A Command is one command of the command line.
type Command struct {
	Name    string   // as typed, with spaces: "container ls"
	Aliases []string // other ways to type it
	Args    string   // how it is used, behind the name
	Short   string
	Min     int  // arguments it needs
	Max     int  // and takes; -1 for any number
	Ordered bool // the first word that is no flag ends the flags
	Setup   func(*pflag.FlagSet) Runner
}

// A Server answers Docker's API on a listener until ctx ends, or with an idle time above zero until it has had nothing to do
// for that long. The program gives it: front ends do not know each other.
type Server func(ctx context.Context, e *engine.Engine, version string, ln net.Listener, idle time.Duration) error

// A Runner runs a command whose flags have been read.
type Runner func(ctx context.Context, app *App, args []string) error

// Engine opens the engine at its first use.
func (a *App) Engine() (*engine.Engine, error) {
	if a.eng != nil {
		return a.eng, nil
	}
	e, err := engine.Open(a.Root)
	if err != nil {
		return nil, err
	}
	e.Pull = a.pullMissing
	a.eng = e
	return e, nil
}

// An ExitError ends the program with a code, after its message if it has one.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}
func (e *ExitError) Unwrap() error { return e.Err }

// exit ends a command with a code and no message.
func exit(code int) error {
	if code == 0 {
		return nil
	}
	return &ExitError{Code: code}
}

// A usageError is a mistake in the words of the command line.
type usageError struct {
	text string
	cmd  *Command
	hint string
}

func (e *usageError) Error() string { return e.text }
func (e *usageError) Hints() []string {
	if e.hint == "" {
		return nil
	}
	return []string{e.hint}
}

// Main runs the program and returns its exit code.
func Main(ctx context.Context, args []string, version string, serve Server) int {
	out := &standardOutput{File: os.Stdout}
	app := &App{Name: calledAs(args[0]), In: os.Stdin, Out: out, Err: os.Stderr, Version: version, Serve: serve, commands: commandTable()}
	err := app.run(ctx, args[1:])
	if err == nil && out.failed != nil && !errors.Is(out.failed, syscall.EPIPE) {
		err = out.failed
	}
	return app.code(err)
}

// standardOutput is standard output that remembers its first failure: a full disk under it is no success.
type standardOutput struct {
	*os.File
	failed error
}

func (o *standardOutput) Write(b []byte) (int, error) {
	n, err := o.File.Write(b)
	if err != nil && o.failed == nil {
		o.failed = err
	}
	return n, err
}

// outFile is the file that the program writes to, if it is one.
func (a *App) outFile() (*os.File, bool) {
	switch f := a.Out.(type) {
	case *standardOutput:
		return f.File, true
	case *os.File:
		return f, true
	}
	return nil, false
}

// calledAs is the name in usage and messages.
func calledAs(arg0 string) string {
	if filepath.Base(arg0) == "docker" {
		return "docker"
	}
	return "moss"
}

// code prints an error and turns it into an exit code.
func (a *App) code(err error) int {
	if err == nil {
		return 0
	}
	var x *ExitError
	code := 1
	if errors.As(err, &x) {
		code = x.Code
		if x.Err == nil {
			return code
		}
	}
	a.printError(err)
	return code
}

func (a *App) printError(err error) {
	fmt.Fprintf(a.Err, "%s: %s\n", a.Name, Quote(err.Error()))
	a.hints(err)
	var u *usageError
	if errors.As(err, &u) && u.cmd != nil {
		fmt.Fprintf(a.Err, "See '%s %s --help'.\n", a.Name, u.cmd.Name)
	}
}

// hints prints the remedies that an error carries.
func (a *App) hints(err error) {
	var h interface{ Hints() []string }
	if errors.As(err, &h) {
		for _, s := range h.Hints() {
			fmt.Fprintf(a.Err, "hint: %s\n", Quote(s))
		}
	}
}

// note prints one line that is no error.
func (a *App) note(format string, args ...any) {
	fmt.Fprintf(a.Err, a.Name+": "+format+"\n", args...)
}

// run reads the global flags, finds the command and runs it.
func (a *App) run(ctx context.Context, args []string) error {
	global := pflag.NewFlagSet(a.Name, pflag.ContinueOnError)
	global.SetInterspersed(false)
	global.SetOutput(io.Discard)
	global.StringVar(&a.Root, "root", "", "Directory of images, containers and volumes")
	help := global.BoolP("help", "h", false, "Print usage")
	version := global.BoolP("version", "v", false, "Print version information and quit")
	ignored := global.StringP("host", "H", "", "")
	_ = global.MarkHidden("host")
	if err := global.Parse(args); err != nil {
		return &ExitError{Code: 125, Err: &usageError{text: err.Error(), hint: "see '" + a.Name + " --help'"}}
	}
	_ = ignored
	words := global.Args()
	switch {
	case *version:
		return a.run(ctx, []string{"version", "--short"})
	case *help || len(words) == 0:
		return a.heavyOr(args, func() error { return a.usage() })
	}
	cmd, rest := a.find(words)
	if cmd == nil {
		return a.heavyOr(args, func() error { return a.unknown(words) })
	}
	return a.call(ctx, cmd, rest, args)
}

// find finds the command that the longest sequence of words names.
func (a *App) find(words []string) (*Command, []string) {
	for n := min(3, len(words)); n > 0; n-- {
		name := strings.Join(words[:n], " ")
		for i := range a.commands {
			c := &a.commands[i]
			if c.Name == name {
				return c, words[n:]
			}
			for _, al := range c.Aliases {
				if al == name {
					return c, words[n:]
				}
			}
		}
	}
	return nil, nil
}

// call parses a command's flags and runs it.
func (a *App) call(ctx context.Context, c *Command, words, all []string) error {
	fs := pflag.NewFlagSet(c.Name, pflag.ContinueOnError)
	fs.SetInterspersed(!c.Ordered)
	fs.SetOutput(io.Discard)
	fs.SortFlags = true
	run := c.Setup(fs)
	help := fs.Bool("help", false, "Print usage")
	if fs.ShorthandLookup("h") == nil {
		fs.BoolVarP(help, "help-", "h", false, "")
		_ = fs.MarkHidden("help-")
	}
	if err := fs.Parse(words); err != nil {
		return a.badFlag(c, fs, err)
	}
	if *help {
		return a.heavyOr(all, func() error { return a.help(c, fs) })
	}
	if n := fs.NArg(); n < c.Min || c.Max >= 0 && n > c.Max {
		return a.badCount(c, n)
	}
	err := run(ctx, a, fs.Args())
	if errors.Is(err, errHeavy) {
		return a.heavyOr(all, func() error { return errors.New("internal error: the full program asks for itself") })
	}
	return err
}

// failCode is the exit code of a command that could not do what was asked: 125 for those whose own code is the
// container's.
func (c *Command) failCode() int {
	switch c.Name {
	case "run", "create", "exec":
		return 125
	}
	return 1
}

// badFlag explains a flag that is not there, with the nearest one that is.
func (a *App) badFlag(c *Command, fs *pflag.FlagSet, err error) error {
	u := &usageError{text: err.Error(), cmd: c}
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		if near := nearest(name, flagNames(fs)); near != "" {
			u.hint = "did you mean --" + near + "?"
		}
	}
	return &ExitError{Code: 125, Err: u}
}

func flagNames(fs *pflag.FlagSet) (out []string) {
	fs.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			out = append(out, f.Name)
		}
	})
	return out
}

// nearest is the word with the smallest edit distance, if it is near.
func nearest(word string, words []string) string {
	best, at := "", 3
	for _, w := range words {
		if d := distance(word, w); d < at {
			best, at = w, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// badCount says how many arguments a command takes, in Docker's words.
func (a *App) badCount(c *Command, n int) error {
	kind, count := "exactly", c.Min
	switch {
	case c.Max == 0:
		return a.countError(c, "accepts no arguments")
	case c.Max < 0 || n < c.Min && c.Max != c.Min:
		kind = "at least"
	case n > c.Max && c.Max != c.Min:
		kind, count = "at most", c.Max
	}
	s := "s"
	if count == 1 {
		s = ""
	}
	return a.countError(c, fmt.Sprintf("requires %s %d argument%s", kind, count, s))
}

func (a *App) countError(c *Command, what string) error {
	text := fmt.Sprintf("'%s %s' %s", a.Name, c.Name, what)
	return &ExitError{Code: 1, Err: &usageError{text: text + "\n\nUsage:  " + a.Name + " " + c.Name + " " + c.Args + "\n\n" + c.Short + "\n", cmd: c}}
}

// unknown is the error of a word that is no command.
func (a *App) unknown(words []string) error {
	u := &usageError{text: fmt.Sprintf("'%s' is not a %s command.", words[0], a.Name)}
	var names []string
	for i := range a.commands {
		names = append(names, strings.Fields(a.commands[i].Name)[0])
	}
	u.hint = "see '" + a.Name + " --help'"
	if near := nearest(words[0], names); near != "" {
		u.hint = "did you mean '" + a.Name + " " + near + "'? See '" + a.Name + " --help'"
	}
	return &ExitError{Code: 1, Err: u}
}
