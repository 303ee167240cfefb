package rules

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// The hot program starts in the time of an empty Go program only as long as these stay out of it (architecture, Start-up
// weight; dependencies.md 2).
var heavy = []string{
	"net/http", "crypto/tls", "regexp", "text/template", "html/template", "go/parser", "github.com/google/go-containerregistry",
	"github.com/klauspost/compress", "github.com/containerd/cgroups", "google.golang.org/protobuf", "gvisor.dev/gvisor",
	"github.com/moby/buildkit", "github.com/sirupsen/logrus",
}

func TestHotProgramIsLight(t *testing.T) {
	for _, linked := range strings.Fields(goTool(t, "list", "-deps", "-tags", "hot", ".")) {
		for _, h := range heavy {
			if within(linked, h) {
				t.Errorf("the hot program links %s", linked)
			}
		}
	}
}

// What runs before main in the hot program is bounded by what does not depend on the machine, with room for a package or two: an
// empty Go program has 8 inits or so, package net (by pflag) and crypto (rand, sha256) most of the others. And by the clock, with
// room for a machine that is slower and busy: it tells of an init that allocates nothing and computes long.
const (
	mostInits            = 52
	mostInitAllocations  = 160
	mostInitBytes        = 20_000
	mostInitMicroseconds = 2500
)

func TestHotProgramStartsAtOnce(t *testing.T) {
	moss := filepath.Join(t.TempDir(), "hot")
	goTool(t, "build", "-trimpath", "-buildvcs=false", "-tags", "hot", "-o", moss, ".")
	fewest, quickest := traceInits(t, moss), initTrace{clock: map[string]float64{}}
	for try := 0; try < 100 && (try < 5 || quickest.total() > mostInitMicroseconds); try++ {
		trace := traceInits(t, moss)
		fewest.allocations, fewest.bytes = min(fewest.allocations, trace.allocations), min(fewest.bytes, trace.bytes)
		for name, clock := range trace.clock { // the best of each: other work on the machine is not the program's
			if best, seen := quickest.clock[name]; !seen || clock < best {
				quickest.clock[name] = clock
			}
		}
	}
	for _, c := range []struct {
		what      string
		got, most int
	}{
		{"inits", len(fewest.clock), mostInits},
		{"allocations", fewest.allocations, mostInitAllocations},
		{"bytes", fewest.bytes, mostInitBytes},
		{"microseconds", int(quickest.total()), mostInitMicroseconds},
	} {
		if c.got > c.most {
			t.Errorf("before main: %d %s, at most %d:\n%s", c.got, c.what, c.most, fewest.text)
		}
	}
}

// initTrace is what one start of a Go program did before main (runtime, GODEBUG=inittrace=1).
type initTrace struct {
	clock              map[string]float64 // microseconds of each package
	allocations, bytes int
	text               string
}

func (i initTrace) total() float64 {
	sum := 0.0
	for _, clock := range i.clock {
		sum += clock
	}
	return sum
}

var initLine = regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, (\S+) ms clock, (\d+) bytes, (\d+) allocs$`)

func traceInits(t *testing.T, program string) initTrace {
	t.Helper()
	cmd := exec.Command(program, "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1", "HOME="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	_ = cmd.Run() // the trace counts, not the command
	trace := initTrace{clock: map[string]float64{}, text: stderr.String()}
	for _, m := range initLine.FindAllStringSubmatch(trace.text, -1) {
		if strings.HasSuffix(m[1], "/internal/prefault") { // it takes memory for those that follow: its purpose
			continue
		}
		clock, err1 := strconv.ParseFloat(m[2], 64)
		bytes, err2 := strconv.Atoi(m[3])
		allocations, err3 := strconv.Atoi(m[4])
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		trace.clock[m[1]] = clock * 1000
		trace.bytes += bytes
		trace.allocations += allocations
	}
	if len(trace.clock) == 0 {
		t.Fatalf("no trace: %s", trace.text)
	}
	return trace
}

// Anybody can check that a published binary was made from these sources.
func TestBuildIsReproducibleAndStatic(t *testing.T) {
	here, elsewhere := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	flags := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.version=1", "-tags", "hot", "-o"}
	goTool(t, append(append([]string(nil), flags...), here, ".")...)
	clone := filepath.Join(t.TempDir(), "clone")
	if err := os.CopyFS(clone, os.DirFS(top(t))); err != nil {
		t.Fatal(err)
	}
	goToolIn(t, clone, append(append([]string(nil), flags...), elsewhere, ".")...)
	a, b := read(t, here), read(t, elsewhere)
	if !bytes.Equal(a, b) {
		t.Errorf("two builds of the same sources differ (%d and %d bytes)", len(a), len(b))
	}
	f, err := elf.NewFile(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has a %v segment", p.Type)
		}
	}
}

// Other architectures compile, also what cannot be run here.
func TestCompilesForArm64(t *testing.T) {
	cmd := exec.Command("go", "vet", "./userns/...", ".")
	cmd.Dir, cmd.Env = top(t), append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go vet for arm64: %v\n%s", err, out)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goTool(t *testing.T, args ...string) string {
	t.Helper()
	return goToolIn(t, top(t), args...)
}

func goToolIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	harness.RequireCommand(t, "go")
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
