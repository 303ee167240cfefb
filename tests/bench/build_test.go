//go:build bench

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// TestBuilds measures builds beside buildah's, on the same Dockerfiles and contexts, and writes docs/measured-build.md.
func TestBuilds(t *testing.T) {
	harness.RequireRoot(t)
	harness.RequirePackages(t, "buildah", "crun")
	runtime.LockOSThread() // never unlocked: the thread's mount namespace ends with it
	if err := ownMounts(); err != nil {
		t.Fatal(err)
	}
	registry := harness.ServeRegistry(t, nil)
	registry.Push(t, "busybox:latest", harness.BusyboxImage(t))
	var report strings.Builder
	for _, name := range []string{"subids", "oneid"} {
		p := newPlace(t, harness.Named(t, name), "40G")
		b := &builds{place: p, base: registry.Host + "/busybox", buildah: name == "subids"} // buildah needs ranges
		for _, m := range []struct {
			table  *Table
			rounds int
		}{{b.unchanged(), 10}, {b.small(), 5}, {b.many(), 3}, {b.large(), 3}} {
			if err := m.table.Measure(m.rounds); err != nil {
				t.Errorf("%s: %v", m.table.Title, err)
				continue
			}
			report.WriteString(m.table.Markdown())
			for _, missed := range m.table.Missed() {
				t.Errorf("missed: %s", missed)
			}
		}
		p.end()
	}
	t.Log("\n" + report.String())
	write(t, "measured-build.md", report.String())
}

// builds makes rows of builds in a place.
type builds struct {
	*place
	base    string // the image that all stand on
	buildah bool
}

// context writes a Dockerfile on the base; lines are shell lines that make the rest of the context.
func (b *builds) context(name, dockerfile string, lines ...string) string {
	b.t.Helper()
	dir := filepath.Join(b.Home, name)
	script := "set -e; mkdir -p " + dir + "; cd " + dir + "; " + strings.Join(append(lines, "true"), "; ")
	b.Do(b.Command("sh", "-c", script)).OK(b.t)
	if err := os.WriteFile(dir+"/Dockerfile", []byte("FROM "+b.base+"\n"+dockerfile), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return dir
}

// table compares the two on a context; most is what moss may take of buildah's time.
func (b *builds) table(title, dir string, most float64, cached bool) *Table {
	moss := []string{"moss", "build", "-q", "--network", "none", "-t", "bench", dir}
	peer := []string{"buildah", "build", "-q", "--layers", "--tls-verify=false", "--network", "none", "-t", "bench", dir}
	if !cached {
		moss, peer = insert(moss, "--no-cache"), insert(peer, "--no-cache")
	}
	t := &Table{Title: title + ", " + b.Name}
	clean := func(line string) func() {
		if cached {
			return nil
		}
		return func() { b.Do(b.Command("sh", "-c", line)) }
	}
	if b.buildah {
		t.Rows = append(t.Rows, &Row{
			Name: "buildah build", Command: func() *exec.Cmd { return b.Command(peer[0], peer[1:]...) }, After: clean("buildah rmi -f bench; buildah prune -f"),
		})
	}
	mossPath := b.Command("moss").Path
	t.Rows = append(t.Rows, &Row{
		Name: "moss build", Limits: []Limit{{most, "buildah build"}}, Command: func() *exec.Cmd { return b.Command(moss[0], moss[1:]...) },
		After: clean(mossPath + " rmi -f bench; " + mossPath + " image prune -f"),
	})
	return t
}

func insert(args []string, flag string) []string {
	return append([]string{args[0], args[1], flag}, args[2:]...)
}

// unchanged is a build in which nothing has changed.
func (b *builds) unchanged() *Table {
	dir := b.context("unchanged", "RUN echo one > /one\nCOPY . /src\nWORKDIR /src\nRUN echo two > /two\nENV A=b\nRUN echo three > /three\nCMD [\"sh\"]\n",
		"mkdir -p src", "for i in $(seq 2000); do echo $i > src/$i; done")
	return b.table("no-change rebuild", dir, 1.0/10, true)
}

// small is twenty steps of small commands.
func (b *builds) small() *Table {
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "RUN echo %d > /file%d\n", i, i)
	}
	return b.table("20 small RUNs", b.context("small", text.String()), 1.0/5, false)
}

// many is a COPY of 50,000 files.
func (b *builds) many() *Table {
	dir := b.context("many", "COPY tree /tree\n", `for d in $(seq 100); do mkdir -p tree/$d; (cd tree/$d; head -c 512000 /dev/urandom | split -b 1024 -a 3); done`)
	return b.table("COPY of 50,000 files", dir, 1.0/2, false)
}

// large is a COPY of one file of 2 GB.
func (b *builds) large() *Table {
	return b.table("COPY of one file of 2 GB", b.context("large", "COPY big /big\n", "head -c 2000000000 /dev/urandom > big"), 1.0/2, false)
}
