package tests

import (
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// scene is one command line and all of what it must do. In line and stderr $moss is the tool's path and name; $run is
// `$moss run --rm --network none`. Texts starting with ~ are regular expressions for the whole stream, a stderr starting with
// * must be contained.
type scene struct {
	name, line, stdout, stderr string
	code                       int
}

// eachLogin runs f as every account, all at the same time; the busybox root lies in ./root, and afterwards nothing may be left. It
// returns when all are over.
func eachLogin(t *testing.T, f func(t *testing.T, l *harness.Login)) {
	t.Helper()
	harness.RequireUserNamespaces(t)
	var all sync.WaitGroup
	for _, account := range harness.Accounts(t) {
		all.Go(func() {
			t.Run(account.Name, func(t *testing.T) {
				l := account.Login(t)
				harness.Nothing(t, l)
				l.BusyboxRoot()
				f(t, l)
			})
		})
	}
	all.Wait()
}

// play runs the scenes one after the other as every account. The name under which the tool is called changes words only, so each
// account plays under one, and both are played; a tester alone plays under both.
func play(t *testing.T, scenes []scene) {
	t.Helper()
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		for _, tool := range tools(t, l) {
			t.Run(tool, func(t *testing.T) {
				for _, s := range scenes {
					t.Run(s.name, func(t *testing.T) { s.play(t, l, tool) })
				}
			})
		}
	})
}

func tools(t *testing.T, l *harness.Login) []string {
	t.Helper()
	switch {
	case len(harness.Accounts(t)) == 1:
		return []string{"moss", "docker"}
	case l.Ids == harness.OneID:
		return []string{"docker"}
	}
	return []string{"moss"}
}

func (s scene) play(t *testing.T, l *harness.Login, tool string) {
	t.Helper()
	line := strings.ReplaceAll(s.line, "$run", "$moss run --rm --network none")
	r := l.Sh(tool, line)
	if r.Code != s.code || !matches(r.Stdout, s.stdout, tool) || !matches(r.Stderr, s.stderr, tool) {
		t.Errorf("%s\n got %s\nwant code %d, stdout %q, stderr %q", line, r, s.code, s.stdout, s.stderr)
	}
}

// matches compares one stream with what a scene wants of it.
func matches(got, want, tool string) bool {
	want = strings.ReplaceAll(want, "$moss", tool)
	if pattern, ok := strings.CutPrefix(want, "~"); ok {
		return regexp.MustCompile(`^(?s:` + pattern + `)$`).MatchString(got)
	}
	if part, ok := strings.CutPrefix(want, "*"); ok {
		return strings.Contains(got, part)
	}
	return got == want
}
