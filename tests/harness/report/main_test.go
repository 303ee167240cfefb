package main

import (
	"bytes"
	"strings"
	"testing"
)

const events = `{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: hidden\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":2}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: needs root: really\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB","Elapsed":0}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t2.1s\n"}
{"Action":"pass","Package":"p","Elapsed":2.1}
not an event
{"Action":"output","Package":"q","Test":"TestC","Output":"    c_test.go:1: wrong\n"}
{"Action":"fail","Package":"q","Test":"TestC","Elapsed":1}
{"Action":"output","Package":"q","Test":"TestD","Output":"panic: test timed out\n"}
{"Action":"output","Package":"q","Output":"FAIL\tq\t1.0s\n"}
{"Action":"fail","Package":"q","Elapsed":1}
{"ImportPath":"r","Action":"build-output","Output":"r.go:1: no\n"}
`

const shown = "ok  \tp\t2.1s\nnot an event\nfirst try |     c_test.go:1: wrong\nfirst try | panic: test timed out\nfirst try | FAIL\tq\t1.0s\nr.go:1: no\n\nlongest:\n" +
	"     2 s  p TestA\n     1 s  q TestC\n     0 s  p TestB\nleft out: 1\n  TestB: needs root: really\n"

func TestReport(t *testing.T) {
	var out bytes.Buffer
	r := report{out: &out, said: map[test]string{}, failed: map[string][]string{}}
	r.read(strings.NewReader(events))
	r.end()
	if out.String() != shown {
		t.Errorf("got\n%s\nwant\n%s", out.String(), shown)
	}
}

// A second try is for a package in which every test came to an end, and it must pass.
func TestSecondTry(t *testing.T) {
	for _, c := range []struct {
		name     string
		failed   map[string][]string
		then     string // what the second try exits with
		code     int
		unstable string
	}{
		{"it passes", map[string][]string{"p": {"TestA"}}, "exit 0", 0, "p TestA"},
		{"it fails again", map[string][]string{"p": {"TestA"}}, "exit 3", 3, ""},
		{"a package broke off", map[string][]string{"p": {"TestA"}, "q": nil}, "exit 0", 1, "p TestA"},
	} {
		var out bytes.Buffer
		r := report{out: &out, said: map[test]string{}, failed: c.failed}
		if code := r.again([]string{"sh", "-c", c.then}); code != c.code || strings.Join(r.unstable, ",") != c.unstable {
			t.Errorf("%s: code %d, unstable %v", c.name, code, r.unstable)
		}
	}
}
