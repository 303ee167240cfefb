package build

import (
	"fmt"
	"strings"
)

// An ExitError is a command that ran and failed.
type ExitError struct {
	Code   int    // 128+n after signal n
	OOM    bool   // the memory limit ended it
	Reason string // what more is known, or ""
}

func (e *ExitError) Error() string {
	s := fmt.Sprintf("exit code %d", e.Code)
	if e.OOM {
		s += " (out of memory)"
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// A RunError is a RUN whose command failed.
type RunError struct {
	Step    Step
	Command string // as Docker prints it: "/bin/sh -c make"
	Exit    *ExitError
	Tail    []byte   // the end of what it wrote, both streams
	File    string   // of the Dockerfile
	First   int      // line number of Excerpt[0]
	Excerpt []string // the instruction and its neighbours
	EndLine int      // last line of the instruction
}

// Error is Docker's sentence.
func (e *RunError) Error() string {
	return fmt.Sprintf("The command '%s' returned a non-zero code: %d", e.Command, e.Exit.Code)
}

// Unwrap returns the exit.
func (e *RunError) Unwrap() error { return e.Exit }

// ExitCode returns the command's exit code, for errorDetail.code and the exit code of the command line.
func (e *RunError) ExitCode() int { return e.Exit.Code }

// Hints points at what commonly ends commands.
func (e *RunError) Hints() []string {
	switch {
	case e.Exit.OOM:
		return []string{"the command reached its memory limit; raise it with --memory"}
	case e.Exit.Code == 127:
		return []string{"the command or the shell is not in the image at this step"}
	}
	return nil
}

// Lines returns the excerpt with line numbers, the instruction's own marked, for people.
func (e *RunError) Lines() []string {
	return numbered(e.First, e.Excerpt, e.Step.Line, e.EndLine)
}

func numbered(first int, text []string, from, to int) []string {
	var out []string
	for i, l := range text {
		mark := "   "
		if n := first + i; n >= from && n <= to {
			mark = ">>>"
		}
		out = append(out, fmt.Sprintf("%4d | %s %s", first+i, mark, l))
	}
	return out
}

// A StepError is a step that failed otherwise; it has file and line.
type StepError struct {
	Step    Step
	File    string
	First   int
	Excerpt []string
	EndLine int
	Err     error
}

// Error names the instruction and what is wrong.
func (e *StepError) Error() string {
	name, _, _ := strings.Cut(e.Step.Text, " ")
	return fmt.Sprintf("%s:%d: %s failed: %v", e.File, e.Step.Line, name, e.Err)
}

// Unwrap returns the reason.
func (e *StepError) Unwrap() error { return e.Err }

// Lines returns the excerpt with line numbers.
func (e *StepError) Lines() []string { return numbered(e.First, e.Excerpt, e.Step.Line, e.EndLine) }

// A TargetError is a --target that is no stage.
type TargetError struct {
	Target string
	Near   string
	Stages []string
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("target stage %q could not be found", e.Target)
}

// Hints names the stages there are.
func (e *TargetError) Hints() []string {
	if e.Near != "" {
		return []string{fmt.Sprintf("did you mean %s?", e.Near)}
	}
	if len(e.Stages) > 0 {
		return []string{"the Dockerfile has the stages " + strings.Join(e.Stages, ", ")}
	}
	return []string{"no stage has a name; give one with FROM … AS NAME"}
}
