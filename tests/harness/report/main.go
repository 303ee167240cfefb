package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
	r := report{out: os.Stdout, said: map[test]string{}}
	r.read(events)
	err = cmd.Wait()
	r.end()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
}

// event is one line of go test -json (go doc test2json), or of a build that goes before it.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

// test is one of a package's, or with an empty name the package itself.
type test struct{ pkg, name string }

type report struct {
	out     io.Writer
	said    map[test]string // by those that have not passed
	longest []event
	skipped []string
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
	for _, t := range failed {
		fmt.Fprint(r.out, r.said[t])
		delete(r.said, t)
	}
	for line := range strings.Lines(r.said[test{pkg: e.Package}]) {
		if e.Action == "fail" || strings.HasPrefix(line, "ok ") {
			fmt.Fprint(r.out, line)
		}
	}
	delete(r.said, test{pkg: e.Package})
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
	if len(r.skipped) > 0 {
		slices.Sort(r.skipped)
		fmt.Fprintf(r.out, "left out: %d\n  %s\n", len(r.skipped), strings.Join(r.skipped, "\n  "))
	}
}
