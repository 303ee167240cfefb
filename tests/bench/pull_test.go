//go:build bench

package bench

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/moss-sandbox/moss/tests/harness"
)

// pullMegabytes is the size of the image, unpacked: files of this Debian machine's own /usr.
const pullMegabytes = 500

// TestPull pulls one image from Debian's docker-registry on loopback, as moss and as podman, and unpacks its gzip layer with
// tar. Run it alone with: go test -tags bench -run TestPull -v -timeout 60m ./tests/bench (root; MOSS_BENCH_PULLS
// rounds, 5, of MOSS_BENCH_PULL_MB megabytes, 500).
func TestPull(t *testing.T) {
	harness.RequireRoot(t)
	harness.RequirePackages(t, append(harness.BenchPackages(), "docker-registry")...)
	runtime.LockOSThread() // never unlocked: the thread's mount namespace ends with it
	if err := ownMounts(); err != nil {
		t.Fatal(err)
	}
	rounds, size := number("MOSS_BENCH_PULLS", 5), number("MOSS_BENCH_PULL_MB", pullMegabytes)
	p := newPullPlace(t, int64(size)<<20)
	defer p.end()
	var report strings.Builder
	for _, c := range []struct {
		name   string
		layers int
		how    compression.Compression
		most   float64 // × podman
	}{{"gzip", 1, compression.GZip, 0.5}, {"zstd", 1, compression.ZStd, 0.4}, {"60 layers", 60, compression.GZip, 0.5}} {
		table, peaks := p.pulls(c.name, c.layers, c.how, c.most, rounds)
		report.WriteString(table.Markdown() + peaks)
		for _, m := range table.Missed() {
			t.Errorf("missed: %s: %s", c.name, m)
		}
	}
	t.Log("\n" + report.String())
	addTo(t, report.String())
}

// pullPlace is an account whose home is a fresh journaled ext4.
type pullPlace struct {
	*harness.Login
	t        *testing.T
	registry harness.Registry
	files    []string // of /usr, as many as make up the size
}

// number is a whole number of the environment.
func number(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

func newPullPlace(t *testing.T, size int64) *pullPlace {
	l := harness.Named(t, "subids").Login(t)
	l.Patience = 10 * time.Minute
	img := filepath.Join(t.TempDir(), "pull.ext4")
	for _, line := range [][]string{
		{"truncate", "-s", "5G", img},
		{"mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", img},
		{"mount", "-o", "loop", img, l.Home},
		{"chown", l.User + ":", l.Home},
		{"chmod", "700", l.Home},
	} {
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", line, err, out)
		}
	}
	return &pullPlace{Login: l, t: t, registry: harness.DebianRegistry(t), files: someFiles(t, size)}
}

func (p *pullPlace) end() {
	p.Do(p.Command("podman", "rmi", "-af"))
	for _, pid := range p.Running("catatonit") {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = exec.Command("umount", "-l", p.Home).Run()
}

// someFiles lists entries of /usr in order until they have a size together.
func someFiles(t *testing.T, size int64) (files []string) {
	sum := int64(0)
	err := filepath.WalkDir("/usr", func(path string, d os.DirEntry, err error) error {
		if err != nil || sum > size {
			return err
		}
		if i, err := d.Info(); err == nil && (d.IsDir() || d.Type() == os.ModeSymlink || d.Type().IsRegular()) {
			sum += i.Size()
			files = append(files, path)
		}
		return nil
	})
	if err != nil || sum < size {
		t.Fatalf("this machine's /usr has %d bytes only: %v", sum, err)
	}
	return files
}

// layer writes the files whose number is i modulo n as a tar.
func (p *pullPlace) layer(i, n int) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for k := i; k < len(p.files); k += n {
		if err := addFile(w, p.files[k]); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		p.t.Fatal(err)
	}
	return b.Bytes()
}

func addFile(w *tar.Writer, path string) error {
	i, err := os.Lstat(path)
	if err != nil {
		return err
	}
	link, _ := os.Readlink(path)
	h, err := tar.FileInfoHeader(i, link)
	if err != nil {
		return err
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = strings.TrimPrefix(path, "/"), 0, 0, "root", "root"
	if err := w.WriteHeader(h); err != nil || !i.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// push makes the image and returns its name, and the first layer's blob.
func (p *pullPlace) push(name string, layers int, how compression.Compression) (ref string, blob v1.Layer) {
	mediaType := types.DockerLayer
	if how == compression.ZStd {
		mediaType = types.OCILayerZStd
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Architecture: runtime.GOARCH, OS: "linux", RootFS: v1.RootFS{Type: "layers"}})
	if how == compression.ZStd {
		img = mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
	}
	for i := 0; err == nil && i < layers; i++ {
		raw := p.layer(i, layers)
		var l v1.Layer
		l, err = tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil },
			tarball.WithCompression(how), tarball.WithMediaType(mediaType), tarball.WithCompressedCaching)
		if err == nil {
			img, err = mutate.AppendLayers(img, l)
			blob = l
		}
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return p.registry.Push(p.t, "pull/"+strings.ReplaceAll(name, " ", "-")+":1", img), blob
}

// pulls measures one image.
func (p *pullPlace) pulls(name string, layers int, how compression.Compression, most float64, rounds int) (*Table, string) {
	ref, blob := p.push(name, layers, how)
	row := func(name string, limits []Limit, args ...string) *Row {
		return &Row{Name: name, Limits: limits, Command: func() *exec.Cmd { return p.Command(args[0], args[1:]...) }}
	}
	podman := row("podman pull", nil, "podman", "pull", "-q", "--tls-verify=false", ref)
	moss := row("moss pull", []Limit{{most, "podman pull"}, {0.65, "tar -xzf"}}, "moss", "pull", "-q", ref)
	t := &Table{Title: "pull of an image, " + name, Rows: []*Row{podman, moss}}
	if name == "gzip" {
		p.save(blob)
		t.Rows = append(t.Rows, row("tar -xzf", nil, "sh", "-c", "mkdir -p $HOME/tar && tar -C $HOME/tar -xzf $HOME/layer.tgz"))
	}
	var peaks strings.Builder
	for _, r := range t.Rows {
		p.clean()
		kb, err := peak(r.Command())
		if err != nil {
			p.t.Fatalf("%s: %v", r.Name, err)
		}
		fmt.Fprintf(&peaks, "Peak memory of %s, all its processes: %d MB.\n", r.Name, kb>>10)
	}
	for round := range rounds {
		for i := range t.Rows {
			if round%2 == 1 {
				i = len(t.Rows) - 1 - i
			}
			p.clean()
			if err := t.Rows[i].once(); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	p.clean()
	_ = os.Remove(p.Home + "/layer.tgz")
	return t, peaks.String() + "\n"
}

func (p *pullPlace) save(l v1.Layer) {
	r, err := l.Compressed()
	if err != nil {
		p.t.Fatal(err)
	}
	f, err := os.Create(p.Home + "/layer.tgz")
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := io.Copy(f, r); err != nil {
		p.t.Fatal(err)
	}
	if err := f.Chmod(0o644); err != nil || f.Close() != nil {
		p.t.Fatal(err)
	}
}

// clean takes away what the last run has made and waits until the disk is quiet.
func (p *pullPlace) clean() {
	p.Do(p.Command("podman", "rmi", "-af"))
	p.Do(p.Command("moss", "image", "prune", "-af"))
	p.Do(p.Command("sh", "-c", "rm -rf $HOME/tar"))
	if out, err := exec.Command("sync", "-f", p.Home).CombinedOutput(); err != nil {
		p.t.Fatalf("sync: %v: %s", err, out)
	}
	time.Sleep(300 * time.Millisecond)
}

// peak runs a command and returns the most that it and its descendants occupied at once, in kB.
func peak(cmd *exec.Cmd) (most int, err error) {
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			return most, err
		case <-time.After(20 * time.Millisecond):
			sum := 0
			for _, pid := range family(cmd.Process.Pid) {
				sum += residentMemory(pid)
			}
			most = max(most, sum)
		}
	}
}

// family is a process with all its descendants.
func family(root int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, s := range stats {
		b, err := os.ReadFile(s)
		_, rest, ok := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		if err != nil || !ok || len(f) < 2 {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(s)))
		parent, _ := strconv.Atoi(f[1])
		children[parent] = append(children[parent], pid)
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// residentMemory is a process's proportional set size in kB; shared pages count once.
func residentMemory(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb
		}
	}
	return 0
}

// addTo appends tables to docs/measured.md, which TestSideBySide writes anew.
func addTo(t *testing.T, tables string) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(root, "docs/measured.md"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("\n" + strings.TrimRight(tables, "\n") + "\n")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}
