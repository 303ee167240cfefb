package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// MaxSize is the longest Dockerfile that is read, in bytes.
const MaxSize = 16 << 20

// A File is a parsed Dockerfile.
type File struct {
	Name     string // as shown in messages
	MetaArgs []Arg  // ARG before the first FROM, unexpanded
	Stages   []Stage
	Warnings []Warning
	Lines    []string // the text, for excerpts
	escape   rune
}

// A Stage is a FROM and what follows it.
type Stage struct {
	Name         string // lower case, "" without AS
	Base         string // unexpanded
	Platform     string // unexpanded
	Text         string // the FROM line
	Line         int
	Instructions []Instruction
}

// An Instruction is one line of a stage (with its continuations). It is not safe for concurrent use: expanding it
// consumes it.
type Instruction struct {
	Name    string // lower case: "run"
	Text    string // as written
	From    string // the --from of COPY, unexpanded
	Line    int    // first, from 1; an ONBUILD trigger has the line of the FROM that runs it
	EndLine int
	Trigger bool // came from the base image's ONBUILD
	command instructions.Command
	escape  rune
}

// A Warning is what the linter says about a line.
type Warning struct {
	Line    int
	Rule    string
	Message string
	URL     string
}

// Parse reads a Dockerfile; name is used in messages. The error is a *SyntaxError where the text is at fault.
func Parse(r io.Reader, name string) (*File, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	if len(text) > MaxSize {
		return nil, fmt.Errorf("reading %q: longer than %d bytes", name, MaxSize)
	}
	f := &File{Name: name, Lines: splitLines(text)}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, &SyntaxError{File: name, Line: 1, Err: errors.New("the Dockerfile cannot be empty")}
	}
	if err := f.parse(text); err != nil {
		return nil, f.syntaxError(err)
	}
	return f, nil
}

func (f *File) parse(text []byte) (err error) {
	defer recoverParser(&err)
	lint, err := f.linter(text)
	if err != nil {
		return err
	}
	res, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return err
	}
	f.escape = res.EscapeToken
	for _, w := range res.Warnings {
		f.warn("NoEmptyContinuation", "", w.URL, w.Short, []parser.Range{*w.Location})
	}
	stages, meta, err := instructions.Parse(res.AST, lint)
	if err != nil {
		return err
	}
	if len(stages) == 0 {
		return errors.New("dockerfile contains no stages to build")
	}
	for _, m := range meta {
		f.MetaArgs = append(f.MetaArgs, argsOf(m.Args)...)
	}
	for _, s := range stages {
		f.Stages = append(f.Stages, f.stage(s))
	}
	return nil
}

// recoverParser turns a panic of the foreign parser (MustParseHeredoc, found by fuzzing) into an error about the text.
func recoverParser(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("dockerfile parse error: %v", p)
	}
}

func (f *File) linter(text []byte) (*linter.Linter, error) {
	cfg := &linter.Config{}
	if v, _, at, ok := parser.ParseDirective("check", text); ok {
		parsed, err := linter.ParseLintOptions(v)
		if err != nil {
			return nil, parser.WithLocation(fmt.Errorf("reading the check directive: %w", err), at)
		}
		cfg = parsed
	}
	if v, _, at, ok := parser.DetectSyntax(text); ok && v != "" {
		if !strings.HasPrefix(v, "docker/dockerfile") {
			f.warn("Syntax", "", "", fmt.Sprintf("syntax %q is ignored: moss reads the Dockerfile itself", v), at)
		}
	}
	cfg.Warn = f.warn
	return linter.New(cfg), nil
}

func (f *File) warn(rule, _, url, message string, at []parser.Range) {
	line := 0
	if len(at) > 0 {
		line = at[0].Start.Line
	}
	f.Warnings = append(f.Warnings, Warning{Line: line, Rule: rule, Message: message, URL: url})
}

func (f *File) stage(s instructions.Stage) Stage {
	first, _ := lines(s.Location)
	st := Stage{Name: s.Name, Base: s.BaseName, Platform: s.Platform, Text: s.SourceCode, Line: first}
	for _, c := range s.Commands {
		st.Instructions = append(st.Instructions, f.instruction(c))
	}
	return st
}

func (f *File) instruction(c instructions.Command) Instruction {
	first, last := lines(c.Location())
	in := Instruction{Name: strings.ToLower(c.Name()), Line: first, EndLine: last, command: c, escape: f.escape}
	if s, ok := c.(fmt.Stringer); ok {
		in.Text = s.String()
	}
	if copied, ok := c.(*instructions.CopyCommand); ok {
		in.From = copied.From
	}
	return in
}

// Trigger parses an ONBUILD instruction of a base image; line is that of the FROM which runs it.
func (f *File) Trigger(text string, line int) (in Instruction, err error) {
	defer recoverParser(&err)
	res, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return in, f.triggerError(text, line, err)
	}
	if len(res.AST.Children) != 1 {
		return in, f.triggerError(text, line, errors.New("not exactly one instruction"))
	}
	c, err := instructions.ParseCommand(res.AST.Children[0])
	if err != nil {
		return in, f.triggerError(text, line, err)
	}
	switch c.(type) {
	case *instructions.OnbuildCommand, *instructions.MaintainerCommand:
		return in, f.triggerError(text, line, fmt.Errorf("%s isn't allowed as an ONBUILD trigger", strings.ToUpper(c.Name())))
	}
	in = (&File{escape: res.EscapeToken}).instruction(c)
	in.Line, in.EndLine, in.Trigger = line, line, true
	return in, nil
}

func (f *File) triggerError(text string, line int, err error) error {
	return &SyntaxError{File: f.Name, Line: line, Text: f.line(line), Err: fmt.Errorf("ONBUILD trigger %q of the base image: %w", text, err)}
}

// MountSources lists the from= of RUN --mount, without which no expansion is needed.
func (in *Instruction) MountSources() []string {
	run, ok := in.command.(*instructions.RunCommand)
	if !ok {
		return nil
	}
	var from []string
	for _, m := range instructions.GetMounts(run) {
		if m.From != "" {
			from = append(from, m.From)
		}
	}
	return from
}

func argsOf(args []instructions.KeyValuePairOptional) []Arg {
	var out []Arg
	for _, a := range args {
		out = append(out, Arg{Name: a.Key, Default: a.Value})
	}
	return out
}

func lines(at []parser.Range) (first, last int) {
	if len(at) == 0 {
		return 0, 0
	}
	return at[0].Start.Line, at[len(at)-1].End.Line
}

func splitLines(text []byte) []string {
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"), "\n")
}

func (f *File) line(n int) string {
	if n < 1 || n > len(f.Lines) {
		return ""
	}
	return f.Lines[n-1]
}

// Excerpt returns the lines first..last with around lines before and after, each as in the file, and the number of the
// first one.
func (f *File) Excerpt(first, last, around int) (start int, text []string) {
	start = max(first-around, 1)
	end := min(last+around, len(f.Lines))
	if start > end {
		return start, nil
	}
	return start, f.Lines[start-1 : end]
}
