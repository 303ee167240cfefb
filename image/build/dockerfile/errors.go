package dockerfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// A SyntaxError is a Dockerfile that does not follow the language.
type SyntaxError struct {
	File string
	Line int
	Text string // the offending line
	Err  error
}

// Error gives file:line, the fault and the line itself.
func (e *SyntaxError) Error() string {
	fault, _, _ := strings.Cut(e.Err.Error(), " (did you mean ") // that is a hint
	if e.Text == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, fault)
	}
	return fmt.Sprintf("%s:%d: %s\n  %d | %s", e.File, e.Line, fault, e.Line, e.Text)
}

// Unwrap returns the fault alone.
func (e *SyntaxError) Unwrap() error { return e.Err }

// Hints suggests what was perhaps meant.
func (e *SyntaxError) Hints() []string {
	var hinted interface{ Hints() []string }
	if errors.As(e.Err, &hinted) {
		return hinted.Hints()
	}
	if near := e.suggestion(); near != "" {
		return []string{near}
	}
	return nil
}

func (e *SyntaxError) suggestion() string {
	var unknown *instructions.UnknownInstructionError
	if errors.As(e.Err, &unknown) {
		if n := Nearest(strings.ToUpper(unknown.Instruction), instructionNames); n != "" {
			return fmt.Sprintf("did you mean %s?", n)
		}
		return "each line begins with an instruction; end a line with \\ to go on in the next"
	}
	msg := e.Err.Error()
	_, rest, ok := strings.Cut(msg, "(did you mean ")
	if !ok {
		return ""
	}
	if strings.Contains(msg, "unknown flag") {
		rest = "--" + rest
	}
	return "did you mean " + strings.TrimSuffix(rest, ")")
}

var instructionNames = []string{
	"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN",
	"SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}

func (f *File) syntaxError(err error) error {
	line := 1
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
		line = at.Locations[0][0].Start.Line
	}
	return &SyntaxError{File: f.Name, Line: line, Text: f.line(line), Err: err}
}

// ErrorAt wraps a fault of the instruction or stage on a line.
func (f *File) ErrorAt(line int, err error) error {
	return &SyntaxError{File: f.Name, Line: line, Text: f.line(line), Err: err}
}

// Nearest returns the word of options that is nearest to a mistyped one, or "" when none is near.
func Nearest(word string, options []string) string {
	best, at := "", len(word)/3+2
	for _, o := range options {
		if d := distance(strings.ToLower(word), strings.ToLower(o)); d < at {
			best, at = o, d
		}
	}
	return best
}

// distance is Levenshtein's with exchanged neighbours counted as one.
func distance(a, b string) int {
	if len(a) > 255 || len(b) > 255 {
		return 256
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	before, prev, cur := rows[0], rows[1], rows[2]
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
