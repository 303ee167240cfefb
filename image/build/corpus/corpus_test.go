package corpus_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/build/buildtest"
	"github.com/moss-sandbox/moss/image/build/corpus"
)

func TestMain(m *testing.M) { os.Exit(buildtest.Main(m)) }

// writing makes the expectations anew, for review: MOSS_CORPUS_WRITE=1 go test ./image/build/corpus.
var writing = os.Getenv("MOSS_CORPUS_WRITE") != ""

func TestCorpus(t *testing.T) {
	cases, err := corpus.Cases("testdata")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 150 {
		t.Errorf("%d cases, want 150", len(cases))
	}
	e := buildtest.New(t)
	e.Busybox(t, "base")
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got := outcome(t, e, c)
			if writing {
				if err := os.WriteFile(filepath.Join(c.Dir, "want"), []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want, isError := strings.CutPrefix(c.Want, "error: "); isError {
				if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, strings.TrimSpace(want)) {
					t.Fatalf("got\n%s\nwant an error with\n%s", got, want)
				}
				return
			}
			if got != c.Want {
				t.Errorf("got\n%s\nwant\n%s", got, c.Want)
			}
		})
	}
}

// outcome builds a case and describes the image, or the error.
func outcome(t *testing.T, e *buildtest.Engine, c corpus.Case) string {
	t.Helper()
	o, err := c.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.NoCache = true
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := build.Build(ctx, o, e.Deps())
	if left := e.Left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err != nil {
		return "error: " + firstLine(strings.ReplaceAll(err.Error(), c.Dir+"/", "")) + "\n"
	}
	skip := 0
	if base, err := e.Image(ctx, "base", build.PullNever, o.Platform); err == nil && len(r.Image.Layers) > 0 && r.Image.Layers[0].DiffID == base.Layers[0].DiffID {
		skip = 1
	}
	text, err := corpus.Describe(r.Image.Config, e.TarOf(t, r.Image, skip))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
