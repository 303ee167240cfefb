package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
)

// plainWorker keeps a blob as one file: blobs of these tests are not compressed, their diff id is their digest.
type plainWorker struct{}

var _ Worker = plainWorker{}

func (plainWorker) Unpack(_ context.Context, target string, r io.Reader, _ layer.Limits) (layer.Stats, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return layer.Stats{}, err
	}
	if bytes.HasPrefix(b, []byte("hostile")) {
		return layer.Stats{}, &layer.EntryError{Name: "../x", Err: layer.ErrEscape}
	}
	if err := os.Mkdir(target+"/fs", 0o755); err != nil {
		return layer.Stats{}, err
	}
	if err := os.WriteFile(target+"/fs/content", b, 0o644); err != nil {
		return layer.Stats{}, err
	}
	return layer.Stats{DiffID: image.SumBytes(b), Size: int64(len(b)), Entries: 1}, nil
}

func (plainWorker) RemoveTree(_ context.Context, path string) error { return os.RemoveAll(path) }

func newStore(t *testing.T, opts Options) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "data"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func begin(t *testing.T, s *Store) *Session {
	t.Helper()
	ss, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ss
}

// sample is an image made of the layers' texts.
type sample struct {
	NewImage
	layers []string
}

func newSample(created int, names string, layers ...string) sample {
	at := time.Unix(int64(created), 0).UTC()
	c := image.Config{OS: "linux", Architecture: "amd64", Created: &at, RootFS: image.RootFS{Type: "layers", DiffIDs: []image.Digest{}}}
	m := image.Manifest{SchemaVersion: 2, MediaType: image.TypeOCIManifest, Layers: []image.Descriptor{}}
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, image.SumBytes([]byte(l)))
		m.Layers = append(m.Layers, image.Descriptor{MediaType: image.TypeOCILayerTar, Digest: image.SumBytes([]byte(l)), Size: int64(len(l))})
	}
	s := sample{layers: layers}
	s.Config, _ = json.Marshal(c)
	m.Config = image.Descriptor{Digest: image.SumBytes(s.Config), Size: int64(len(s.Config))}
	s.Manifest, _ = json.Marshal(m)
	for n := range strings.FieldsSeq(names) {
		r, err := image.ParseRef(n)
		if err != nil {
			panic(err)
		}
		s.Names = append(s.Names, r)
	}
	return s
}

func (p sample) id() image.Digest { return image.SumBytes(p.Config) }

func fetch(text string) Fetch {
	d := image.SumBytes([]byte(text))
	return Fetch{Layer: image.Descriptor{Digest: d, Size: int64(len(text))}, DiffID: d, MapKey: "own", Worker: plainWorker{},
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

// put pulls a sample in a session of its own.
func put(t *testing.T, s *Store, p sample) *Image {
	t.Helper()
	ss := begin(t, s)
	defer ss.End()
	for _, l := range p.layers {
		if err := ss.Receive(t.Context(), fetch(l)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := ss.PutImage(t.Context(), p.NewImage)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLookup(t *testing.T) {
	s := newStore(t, Options{})
	a := put(t, s, newSample(1, "alpine:3 alpine quay.io/x/y:z", "base", "a"))
	put(t, s, newSample(2, "debian@sha256:"+strings.Repeat("ab", 32), "base", "b"))
	for _, name := range []string{"alpine", "alpine:3", "docker.io/library/alpine:latest", "quay.io/x/y:z", string(a.ID), a.ID.Hex(), a.ID.Short(), "sha256:" + a.ID.Short()} {
		if m, err := s.Lookup(name); err != nil || m.ID != a.ID || len(m.Layers) != 2 || m.Size != 5 {
			t.Errorf("%q: %v, %v", name, m, err)
		}
	}
	if m, err := s.Lookup("debian:1@sha256:" + strings.Repeat("ab", 32)); err != nil || m.ID == a.ID {
		t.Errorf("by digest: %v, %v", m, err)
	}
	for name, want := range map[string]string{
		"alpine:4": "No such image: alpine:4", "debian": "No such image: debian:latest", "Alpine": "invalid reference format: repository name (library/Alpine) must be lowercase",
		strings.Repeat("0", 64): "No such image: sha256:" + strings.Repeat("0", 64), "../../etc/passwd": "invalid reference format", "": "invalid reference format",
	} {
		if _, err := s.Lookup(name); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}

func TestLookupAmbiguous(t *testing.T) {
	s := newStore(t, Options{})
	seen := map[byte]bool{}
	for i := 0; ; i++ { // 17 images share a first digit
		m := put(t, s, newSample(i, "", "base"))
		if d := m.ID.Hex()[0]; !seen[d] {
			seen[d] = true
			continue
		}
		if _, err := s.Lookup(m.ID.Hex()[:1]); !errors.Is(err, ErrAmbiguous) {
			t.Errorf("one digit of two images: %v", err)
		}
		return
	}
}

// TestInspect: what the hot path leaves out is there when asked for.
func TestInspect(t *testing.T) {
	s := newStore(t, Options{})
	put(t, s, rich(1))
	hot, err := s.Lookup("image1:1")
	if err != nil || hot.Config.History != nil || len(hot.Config.Config.Env) == 0 {
		t.Errorf("%+v, %v", hot, err)
	}
	m, err := s.Inspect("image1:1")
	if err != nil || len(m.Config.History) != 20 || len(m.Names) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestListAndNames(t *testing.T) {
	s := newStore(t, Options{})
	long := "x.io/" + strings.Repeat("a", 220) + ":" + strings.Repeat("t", 120)
	put(t, s, newSample(1, "old:1 "+long, "a"))
	put(t, s, newSample(9, "new:1 new@sha256:"+strings.Repeat("ab", 32), "b"))
	images, err := s.List()
	if err != nil || len(images) != 2 {
		t.Fatal(images, err)
	}
	if images[0].Names[0].Familiar() != "new:1" || len(images[0].Digests) != 1 || len(images[1].Names) != 2 {
		t.Errorf("%v %v", images[0], images[1])
	}
	if _, err := s.Lookup(long); err != nil {
		t.Error(err)
	}
	put(t, s, newSample(5, "new:1", "c")) // the name moves
	images, _ = s.List()
	if len(images) != 3 || len(images[0].Names) != 0 || images[1].Names[0].Familiar() != "new:1" {
		t.Errorf("after the name moved: %v", images[1])
	}
}

func TestLowers(t *testing.T) {
	s := newStore(t, Options{})
	m := put(t, s, newSample(1, "a", "one", "two"))
	dirs, err := s.Lowers(m, "own")
	if err != nil || len(dirs) != 2 || !strings.Contains(dirs[0], m.Layers[1].DiffID.Hex()) {
		t.Fatal(dirs, err)
	}
	if b, err := os.ReadFile(dirs[0] + "/content"); err != nil || string(b) != "two" {
		t.Errorf("top layer: %q, %v", b, err)
	}
	var missing *NotUnpackedError
	if _, err := s.Lowers(m, "other"); !errors.As(err, &missing) || len(missing.Layers) != 2 {
		t.Errorf("other map: %v", err)
	}
}

// TestOtherBoot: trees that were not synced before the machine stopped are unpacked again, from the blob.
func TestOtherBoot(t *testing.T) {
	s := newStore(t, Options{})
	p := newSample(1, "a", "one", "two")
	m := put(t, s, p)
	s.bootID = func() string { return "next" }
	if _, err := s.Lowers(m, "own"); !errors.Is(err, ErrNotUnpacked) {
		t.Fatalf("unsynced trees are used after a boot: %v", err)
	}
	ss := begin(t, s)
	defer ss.End()
	for _, l := range m.Layers {
		f := fetch("")
		f.Layer, f.DiffID = image.Descriptor{Digest: l.Digest, Size: l.Size}, l.DiffID
		f.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("no network") }
		if err := ss.Receive(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Lowers(m, "own"); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.bootID = func() string { return "third" }
	if _, err := s.Lowers(m, "own"); err != nil {
		t.Errorf("settled trees are not used after a boot: %v", err)
	}
}

func TestReceiveRefuses(t *testing.T) {
	wrongBytes := fetch("good")
	wrongBytes.Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("evil")), nil }
	short, long := fetch("good"), fetch("good")
	short.Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("go")), nil }
	long.Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("goods")), nil }
	otherDiff := fetch("good")
	otherDiff.DiffID = image.SumBytes([]byte("other"))
	cut := fetch("good")
	cut.Open = func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("go"), failingReader{})), nil
	}
	refused := fetch("good")
	refused.Open = func(context.Context) (io.ReadCloser, error) { return nil, errNet }
	badDigest := fetch("good")
	badDigest.Layer.Digest = "sha256:../../x"
	for _, c := range []struct {
		name string
		f    Fetch
		want error
	}{
		{"wrong bytes", wrongBytes, ErrMismatch}, {"too short", short, ErrMismatch}, {"too long", long, ErrMismatch},
		{"config disagrees", otherDiff, ErrMismatch}, {"connection lost", cut, errNet}, {"connection refused", refused, errNet},
		{"hostile", fetch("hostile"), layer.ErrEscape}, {"digest is a path", badDigest, nil},
	} {
		s := newStore(t, Options{})
		ss := begin(t, s)
		err := ss.Receive(t.Context(), c.f)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err := ss.End(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		empty(t, s, c.name)
	}
}

var errNet = errors.New("connection reset")

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errNet }

// empty checks that nothing is stored, not even half-made.
func empty(t *testing.T, s *Store, name string) {
	t.Helper()
	var left []string
	filepath.WalkDir(s.root, func(p string, e os.DirEntry, err error) error {
		rel, _ := filepath.Rel(s.root, p)
		if err == nil && !slices.Contains(dirs[:], rel) && rel != "." && rel != "lock" && rel != "layers/own" {
			left = append(left, rel)
		}
		return nil
	})
	if left != nil {
		t.Errorf("%s: left behind: %q", name, left)
	}
}

func TestInterruptedPull(t *testing.T) {
	s := newStore(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	f := fetch(strings.Repeat("x", 1<<20))
	f.Open = func(context.Context) (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.Write(make([]byte, 1<<19)); cancel() }()
		return r, nil
	}
	ss := begin(t, s)
	if err := ss.Receive(ctx, f); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := ss.End(); err != nil {
		t.Error(err)
	}
	empty(t, s, "interrupted")
}

// TestSharedDownload: two pulls of one layer at once open one connection.
func TestSharedDownload(t *testing.T) {
	s := newStore(t, Options{})
	var mu sync.Mutex
	opened := 0
	f := fetch(strings.Repeat("x", 3<<20))
	inner := f.Open
	f.Open = func(ctx context.Context) (io.ReadCloser, error) {
		mu.Lock()
		opened++
		mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		return inner(ctx)
	}
	var wg sync.WaitGroup
	for range 4 {
		ss := begin(t, s)
		defer ss.End()
		wg.Go(func() {
			if err := ss.Receive(t.Context(), f); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if opened != 1 {
		t.Errorf("%d downloads", opened)
	}
}

// TestDamagedBlob: a stored blob that rotted is set aside and downloaded again.
func TestDamagedBlob(t *testing.T) {
	s := newStore(t, Options{})
	m := put(t, s, newSample(1, "a", "good"))
	file := s.root + "/" + blobFile(m.Layers[0].Digest)
	if err := errors.Join(os.Remove(file), os.WriteFile(file, []byte("evil"), 0o600), plainWorker{}.RemoveTree(t.Context(), s.LayerDir("own", m.Layers[0].DiffID))); err != nil {
		t.Fatal(err)
	}
	put(t, s, newSample(1, "a", "good"))
	if b, err := os.ReadFile(file); err != nil || string(b) != "good" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestCraftedHit: a configuration that names a stored blob beside another stored layer's diff id is found out
// (CVE-2024-24557's kind).
func TestCraftedHit(t *testing.T) {
	s := newStore(t, Options{})
	put(t, s, newSample(1, "a", "public", "secret"))
	f := fetch("public")
	f.DiffID = image.SumBytes([]byte("secret"))
	ss := begin(t, s)
	defer ss.End()
	if err := ss.Receive(t.Context(), f); !errors.Is(err, ErrMismatch) {
		t.Errorf("crafted pair accepted: %v", err)
	}
}

func TestPutImageRefuses(t *testing.T) {
	s := newStore(t, Options{})
	good := newSample(1, "a", "x")
	ss := begin(t, s)
	if _, err := ss.PutImage(t.Context(), good.NewImage); !errors.Is(err, ErrNoBlob) {
		t.Errorf("layer missing: %v", err)
	}
	other := good
	other.Config = newSample(2, "a", "x").Config
	if _, err := ss.PutImage(t.Context(), other.NewImage); !errors.Is(err, ErrMismatch) {
		t.Errorf("other configuration: %v", err)
	}
	ss.End()
	empty(t, s, "refused images")
	if _, err := s.Lookup("a"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	os.WriteFile(file, nil, 0o600)
	foreign := filepath.Join(dir, "foreign")
	os.Mkdir(foreign, 0o700)
	link := filepath.Join(dir, "link")
	os.Symlink(foreign, link)
	for name, c := range map[string]struct {
		dir  string
		opts Options
	}{"a file": {file, Options{}}, "a link": {link, Options{}}, "foreign": {foreign, Options{Owner: &Owner{UID: os.Geteuid() + 1}}}} {
		var e *RootError
		if _, err := Open(c.dir, c.opts); !errors.As(err, &e) || len(e.Hints()) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	open := filepath.Join(dir, "open")
	os.Mkdir(open, 0o777)
	os.Chmod(open, 0o777)
	if _, err := Open(open, Options{}); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(open); info.Mode().Perm() != 0o700 {
		t.Errorf("others may still enter: %v", info.Mode())
	}
}

func TestOrigins(t *testing.T) {
	s := newStore(t, Options{})
	d := image.SumBytes([]byte("x"))
	for i := range 20 {
		r, _ := image.ParseRef(fmt.Sprintf("r%d", i))
		if err := s.AddOrigin(d, r); err != nil {
			t.Fatal(err)
		}
	}
	got := s.Origins(d)
	if len(got) != maxRepos || got[0] != "docker.io/library/r19" {
		t.Errorf("%q", got)
	}
}
