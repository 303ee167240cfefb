package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	flags, packages := split(os.Args[1:])
	r := report{out: os.Stdout, said: map[test]string{}, failed: map[string][]string{}}
	code := r.run(append(flags, packages...))
	if code != 0 && len(r.failed) > 0 {
		code = r.again(flags)
	}
	r.end()
	os.Exit(code)
}

// split parts a command at its "--": before it stands go test with its flags, after it the packages.
func split(args []string) (flags, packages []string) {
	if i := slices.Index(args, "--"); i >= 0 {
		return slices.Clip(args[:i]), args[i+1:]
	}
	return slices.Clip(args), nil
}

// run runs one command to its end and returns its exit code.
func (r *report) run(args []string) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		return 1
	}
	r.read(events)
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// again runs the tests that have failed once more, each package by itself: what fails for want of time on a busy machine passes
// then, and is told as unstable; what is wrong fails again. A package that failed without a test of its own to blame has failed.
func (r *report) again(flags []string) int {
	failed := r.failed
	r.failed, r.second = map[string][]string{}, true
	code := 0
	for _, pkg := range slices.Sorted(maps.Keys(failed)) {
		tests := failed[pkg]
		if len(tests) == 0 {
			code = 1
			continue
		}
		fmt.Fprintf(r.out, "\nonce more, alone: %s %s\n", pkg, strings.Join(tests, " "))
		if c := r.run(append(flags, "-run", "^("+strings.Join(tests, "|")+")$", pkg)); c != 0 {
			code = c
			continue
		}
		for _, name := range tests {
			r.unstable = append(r.unstable, pkg+" "+name)
		}
	}
	return code
}

// event is one line of go test -json (go doc test2json), or of a build that goes before it.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

// test is one of a package's, or with an empty name the package itself.
type test struct{ pkg, name string }

type report struct {
	out      io.Writer
	said     map[test]string     // by those that have not passed
	failed   map[string][]string // a package's tests that have failed
	second   bool                // this is the second try
	unstable []string            // passed at the second try alone
	longest  []event
	skipped  []string
}

// read takes one line after the other; what is no event is shown as it is.
func (r *report) read(events io.Reader) {
	for lines := bufio.NewReader(events); ; {
		line, err := lines.ReadString('\n')
		var e event
		switch {
		case line != "" && json.Unmarshal([]byte(line), &e) != nil:
			fmt.Fprint(r.out, line)
		case line != "":
			r.take(e)
		}
		if err != nil {
			return
		}
	}
}

func (r *report) take(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.said[t] += e.Output
	case "pass", "skip", "fail":
		if e.Test == "" {
			r.endPackage(e)
			return
		}
		if !strings.Contains(e.Test, "/") {
			r.longest = append(r.longest, e)
		}
		if e.Action == "skip" {
			r.skipped = append(r.skipped, e.Test+": "+reason(r.said[t]))
		}
		if e.Action != "fail" {
			delete(r.said, t)
		} else if !strings.Contains(e.Test, "/") {
			r.failed[e.Package] = append(r.failed[e.Package], e.Test)
		}
	}
}

// endPackage shows the closing line, and before it what those have said that failed or did not come to an end.
func (r *report) endPackage(e event) {
	var failed []test
	for t := range r.said {
		if t.pkg == e.Package && t.name != "" {
			failed = append(failed, t)
		}
	}
	slices.SortFunc(failed, func(a, b test) int { return strings.Compare(a.name, b.name) })
	margin := ""
	if e.Action == "fail" && !r.second {
		margin = "first try | "
		blame := r.failed[e.Package]
		if slices.ContainsFunc(failed, func(t test) bool { return !r.blamed(t) }) {
			blame = nil // it did not come to its end: others have not run at all
		}
		r.failed[e.Package] = blame // with nobody to blame, too
	}
	for _, t := range failed {
		for line := range strings.Lines(r.said[t]) {
			fmt.Fprint(r.out, margin, line)
		}
		delete(r.said, t)
	}
	for line := range strings.Lines(r.said[test{pkg: e.Package}]) {
		if e.Action == "fail" || strings.HasPrefix(line, "ok ") {
			fmt.Fprint(r.out, margin, line)
		}
	}
	delete(r.said, test{pkg: e.Package})
}

// blamed tells whether the test, or the one that it is a part of, has ended as failed.
func (r *report) blamed(t test) bool {
	top, _, _ := strings.Cut(t.name, "/")
	return slices.Contains(r.failed[t.pkg], top)
}

// reason is what a skipped test said, without the lines of the framework.
func reason(said string) string {
	var words []string
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			_, text, found := strings.Cut(line, ": ") // file and line
			if !found {
				text = line
			}
			words = append(words, text)
		}
	}
	return strings.Join(words, " ")
}

func (r *report) end() {
	slices.SortFunc(r.longest, func(a, b event) int { return cmp.Compare(b.Elapsed, a.Elapsed) })
	fmt.Fprintln(r.out, "\nlongest:")
	for _, e := range r.longest[:min(10, len(r.longest))] {
		fmt.Fprintf(r.out, "%6.0f s  %s %s\n", e.Elapsed, e.Package, e.Test)
	}
	if len(r.unstable) > 0 {
		fmt.Fprintf(r.out, "unstable, passed at the second try: %d\n  %s\n", len(r.unstable), strings.Join(r.unstable, "\n  "))
	}
	if len(r.skipped) > 0 {
		slices.Sort(r.skipped)
		fmt.Fprintf(r.out, "left out: %d\n  %s\n", len(r.skipped), strings.Join(r.skipped, "\n  "))
	}
}
