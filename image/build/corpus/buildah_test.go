package corpus_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/build/buildtest"
	"github.com/moss-sandbox/moss/image/build/corpus"
	"github.com/moss-sandbox/moss/image/layer/compress"
	"github.com/moss-sandbox/moss/tests/harness"
)

// TestBuildah builds every case with buildah too and compares the descriptions. A difference must be the one that the
// case's file "buildah" explains. It takes minutes: MOSS_CORPUS_BUILDAH=1.
func TestBuildah(t *testing.T) {
	if os.Getenv("MOSS_CORPUS_BUILDAH") == "" {
		t.Skip("a comparison of minutes, not a missing precondition: set MOSS_CORPUS_BUILDAH=1 to compare with buildah")
	}
	p := newPeer(t)
	cases, err := corpus.Cases("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got, err := p.outcome(t, c)
			if err != nil {
				got = "error: " + lastLine(err.Error()) + "\n"
			}
			diff := difference(c.Want, got)
			explained := lines(c.Buildah, "| ")
			if diff != explained {
				t.Errorf("buildah differs:\n%s\nexplained is:\n%s", diff, explained)
			}
		})
	}
}

// lines keeps the lines of an explanation that are the difference.
func lines(s, prefix string) string {
	var out []string
	for l := range strings.SplitSeq(s, "\n") {
		if rest, ok := strings.CutPrefix(l, prefix); ok {
			out = append(out, rest)
		}
	}
	return strings.Join(out, "\n")
}

// left are files that buildah leaves where its RUN has mounted something.
var left = []string{
	"/dev/ 0755", "/etc/hostname 0755 \"\"", "/etc/hosts 0755 \"\"", "/etc/resolv.conf 0755 \"\"", "/proc/ 0755", "/run/ 0755", "/sys/ 0755",
}

// difference lists the lines that only one side has; of an error only that there is one.
func difference(want, got string) string {
	ours, theirs := strings.HasPrefix(want, "error: "), strings.HasPrefix(got, "error: ")
	switch {
	case ours && theirs:
		return ""
	case ours:
		return "- error"
	case theirs:
		return "+ error"
	}
	w, g := strings.Split(strings.TrimSpace(want), "\n"), strings.Split(strings.TrimSpace(got), "\n")
	var out []string
	for _, l := range w {
		if !slices.Contains(g, l) {
			out = append(out, "- "+l)
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) && !slices.Contains(left, l) {
			out = append(out, "+ "+l)
		}
	}
	return strings.Join(out, "\n")
}

func lastLine(s string) string {
	l := strings.Split(strings.TrimSpace(s), "\n")
	return l[len(l)-1]
}

type peer struct {
	dir  string
	base int // layers of the base image
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	harness.RequireRoot(t)
	harness.RequirePackages(t, "buildah")
	p := &peer{dir: t.TempDir()}
	e := buildtest.New(t)
	e.Busybox(t, "base")
	archive := filepath.Join(p.dir, "base.tar")
	_, err := build.Build(t.Context(), build.Options{
		Text: strings.NewReader("FROM base\n"), Outputs: []build.Output{{Kind: build.OutputOCI, Dest: archive}},
	}, e.Deps())
	if err != nil {
		t.Fatal(err)
	}
	id, err := p.buildah("pull", "-q", "oci-archive:"+archive)
	if err == nil {
		_, err = p.buildah("tag", strings.TrimSpace(id), "localhost/base:latest")
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *peer) buildah(args ...string) (string, error) {
	global := []string{"--root", filepath.Join(p.dir, "root"), "--runroot", filepath.Join(p.dir, "run"), "--storage-driver", "vfs"}
	cmd := exec.Command("buildah", append(global, args...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, errs.String())
	}
	return string(out), nil
}

func (p *peer) outcome(t *testing.T, c corpus.Case) (string, error) {
	t.Helper()
	args := []string{"bud", "-q", "--isolation", "chroot", "--format", "docker", "--pull-never", "-t", "case", "-f", filepath.Join(c.Dir, "Dockerfile")}
	for _, o := range c.Options {
		args = append(args, strings.ReplaceAll(o, "CASE", c.Dir))
	}
	if _, err := p.buildah(append(args, c.Context(t.TempDir()))...); err != nil {
		return "", err
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := p.buildah("push", "-q", "case", "dir:"+out); err != nil {
		return "", err
	}
	return describeDir(out)
}

// describeDir reads what skopeo's dir: transport writes.
func describeDir(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return "", err
	}
	m, err := image.ParseManifest(b, "")
	if err != nil {
		return "", err
	}
	b, err = os.ReadFile(filepath.Join(dir, m.Config.Digest.Hex()))
	if err != nil {
		return "", err
	}
	var c image.Config
	if err := json.Unmarshal(b, &c); err != nil {
		return "", err
	}
	var layers [][]byte
	for i, l := range m.Layers {
		if i == 0 && len(c.History) > 0 && strings.Contains(c.History[0].CreatedBy, "ADD file:0 in /") {
			continue // the base image
		}
		plain, err := inflate(filepath.Join(dir, l.Digest.Hex()))
		if err != nil {
			return "", err
		}
		layers = append(layers, plain)
	}
	return corpus.Describe(&c, layers)
}

func inflate(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := compress.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
