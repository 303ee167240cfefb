package buildtest

import (
	"bytes"
	"context"
	"crypto/sha256"
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
	"github.com/moss-sandbox/moss/image/build"
)

// An Engine implements what build.Deps asks for.
type Engine struct {
	Dir     string
	Runs    []build.Command // what the Runner was asked to run, in order
	Tasks   int             // how many tasks the worker has done
	Refuse  func(build.Command) error
	mu      sync.Mutex
	images  map[image.Digest]build.Image
	names   map[string]image.Digest
	parents map[image.Digest]image.Digest
	layers  map[image.Digest]string // by diff id: directory with fs, owners and tar
	mounts  string                  // where children mount: a command ends without taking its directory away
	next    int
}

var (
	_ build.Images = (*Engine)(nil)
	_ build.Trees  = (*Engine)(nil)
	_ build.Worker = (*Engine)(nil)
	_ build.Runner = (*Engine)(nil)
)

// New makes an engine in a temporary directory. It skips the test where the kernel gives no user namespace.
func New(t testing.TB) *Engine {
	t.Helper()
	requireNamespaces(t)
	e := &Engine{
		Dir: t.TempDir(), images: map[image.Digest]build.Image{}, names: map[string]image.Digest{}, parents: map[image.Digest]image.Digest{},
		layers: map[image.Digest]string{}, mounts: t.TempDir(),
	}
	t.Cleanup(func() { e.clean() })
	return e
}

// Deps returns the engine as a build wants it.
func (e *Engine) Deps() build.Deps {
	return build.Deps{
		Runner: e, Images: e, Trees: e, Worker: e, CacheDir: filepath.Join(e.Dir, "cache"), TempDir: filepath.Join(e.Dir, "tmp"),
	}
}

func (e *Engine) newDir(kind string) (string, error) {
	e.mu.Lock()
	e.next++
	dir := filepath.Join(e.Dir, fmt.Sprintf("%s-%d", kind, e.next))
	e.mu.Unlock()
	return dir, os.MkdirAll(dir, 0o755)
}

// Image implements build.Images.
func (e *Engine) Image(_ context.Context, name string, _ build.Pull, _ image.Platform) (build.Image, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id, ok := e.names[familiar(name)]
	if !ok {
		id = image.Digest(name)
	}
	img, ok := e.images[id]
	if !ok {
		return img, fmt.Errorf("pull access denied for %s, repository does not exist or may require 'docker login'", name)
	}
	return img, nil
}

func familiar(name string) string {
	if r, err := image.ParseRef(name); err == nil {
		return r.Familiar()
	}
	return name
}

// Load implements build.Images.
func (e *Engine) Load(_ context.Context, id image.Digest) (build.Image, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	img, ok := e.images[id]
	if !ok {
		return img, errors.New("no such image")
	}
	return img, nil
}

// Put implements build.Images.
func (e *Engine) Put(_ context.Context, config []byte, layers []image.Layer, parent image.Digest) (image.Digest, error) {
	c, err := image.ParseConfig(config)
	if err != nil {
		return "", err
	}
	if len(c.RootFS.DiffIDs) != len(layers) {
		return "", fmt.Errorf("internal error: %d diff ids, %d layers", len(c.RootFS.DiffIDs), len(layers))
	}
	id := image.SumBytes(config)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[id] = build.Image{ID: id, Config: c, Layers: slices.Clone(layers)}
	e.parents[id] = parent
	return id, nil
}

// Tag implements build.Images.
func (e *Engine) Tag(_ context.Context, id image.Digest, name image.Ref) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.names[name.Familiar()] = id
	return nil
}

// Named returns the id that a name has, "" for none.
func (e *Engine) Named(name string) image.Digest {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.names[familiar(name)]
}

// Forget removes an image, as a garbage collection would.
func (e *Engine) Forget(id image.Digest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.images, id)
}

// AddImage makes a base image of a directory of the test; dir "" has no layer.
func (e *Engine) AddImage(t testing.TB, name string, s image.Settings, history []image.History, dir string) build.Image {
	t.Helper()
	p := image.HostPlatform()
	c := image.Config{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, Config: s, History: history, RootFS: image.RootFS{Type: "layers"}}
	var layers []image.Layer
	if dir != "" {
		l, err := e.addLayer(dir)
		if err != nil {
			t.Fatal(err)
		}
		layers, c.RootFS.DiffIDs = []image.Layer{l}, []image.Digest{l.DiffID}
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	id, err := e.Put(context.Background(), b, layers, "")
	if err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.names[familiar(name)] = id
	return e.images[id]
}

func (e *Engine) addLayer(dir string) (image.Layer, error) {
	store, err := e.newDir("layer")
	if err != nil {
		return image.Layer{}, err
	}
	if err := os.Rename(dir, filepath.Join(store, "fs")); err != nil {
		return image.Layer{}, err
	}
	old := time.Unix(1_000_000_000, 0)
	l, err := e.seal(context.Background(), store, nil, build.CommitOptions{Newest: &old})
	if err == nil && l == nil {
		err = errors.New("the directory is empty")
	}
	if err != nil {
		return image.Layer{}, err
	}
	return *l, nil
}

// Lowers implements build.Trees.
func (e *Engine) Lowers(_ context.Context, layers []image.Layer) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for i := len(layers) - 1; i >= 0; i-- {
		dir, ok := e.layers[layers[i].DiffID]
		if !ok {
			return nil, fmt.Errorf("no layer %s", layers[i].DiffID)
		}
		out = append(out, filepath.Join(dir, "fs"))
	}
	return out, nil
}

// NewUpper implements build.Trees.
func (e *Engine) NewUpper(context.Context) (build.Upper, error) {
	dir, err := e.newDir("upper")
	if err != nil {
		return build.Upper{}, err
	}
	u := build.Upper{Dir: filepath.Join(dir, "fs"), Work: filepath.Join(dir, "work")}
	return u, errors.Join(os.Mkdir(u.Dir, 0o755), os.Mkdir(u.Work, 0o755))
}

// Discard implements build.Trees.
func (e *Engine) Discard(u build.Upper) { e.remove(filepath.Dir(u.Dir)) }

// Commit implements build.Trees.
func (e *Engine) Commit(ctx context.Context, u build.Upper, o build.CommitOptions) (*image.Layer, error) {
	dir := filepath.Dir(u.Dir)
	lowers, err := e.Lowers(ctx, o.Lowers)
	var l *image.Layer
	if err == nil {
		l, err = e.seal(ctx, dir, lowers, o)
	}
	if err != nil || l == nil {
		e.remove(dir)
	}
	return l, err
}

// seal writes the tar of dir/fs and registers the layer; nil when there is nothing in it.
func (e *Engine) seal(ctx context.Context, dir string, lowers []string, o build.CommitOptions) (*image.Layer, error) {
	f, err := os.Create(filepath.Join(dir, "tar"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	stats, err := e.pack(ctx, dir, lowers, o, io.MultiWriter(f, h))
	if err != nil || stats.Entries == 0 {
		return nil, err
	}
	d := image.DigestOf(h.Sum(nil))
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.layers[d]; ok {
		defer e.remove(dir)
	} else {
		e.layers[d] = dir
	}
	return &image.Layer{DiffID: d, Digest: d, Unpacked: stats.Size}, nil
}

// Volume implements build.Trees.
func (e *Engine) Volume(_ context.Context, name string) (string, error) {
	dir := filepath.Join(e.Dir, "volumes", name)
	return dir, os.MkdirAll(dir, 0o755)
}

// Tar implements build.Trees.
func (e *Engine) Tar(_ context.Context, l image.Layer) (io.ReadCloser, error) {
	e.mu.Lock()
	dir, ok := e.layers[l.DiffID]
	e.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("no layer %s", l.DiffID)
	}
	return os.Open(filepath.Join(dir, "tar"))
}

// Ingest implements build.Trees.
func (e *Engine) Ingest(ctx context.Context, r io.Reader, diff image.Digest) (image.Layer, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return image.Layer{}, err
	}
	if got := image.SumBytes(b); got != diff {
		return image.Layer{}, fmt.Errorf("layer %s has digest %s", diff, got)
	}
	dir, err := e.newDir("layer")
	if err != nil {
		return image.Layer{}, err
	}
	if err := os.WriteFile(filepath.Join(dir, "tar"), b, 0o644); err != nil {
		return image.Layer{}, err
	}
	if _, err := e.child(ctx, request{Kind: "extract", Dir: dir}, bytes.NewReader(b), io.Discard, io.Discard); err != nil {
		return image.Layer{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.layers[diff] = dir
	return image.Layer{DiffID: diff, Digest: diff}, nil
}

// TarOf returns the tar streams of an image's own layers, bottom first.
func (e *Engine) TarOf(t testing.TB, img build.Image, skip int) [][]byte {
	t.Helper()
	var out [][]byte
	for _, l := range img.Layers[skip:] {
		r, err := e.Tar(context.Background(), l)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		out = append(out, b)
	}
	return out
}

// Left lists uppers and temporary files that nobody has removed.
func (e *Engine) Left() []string {
	var out []string
	for _, pattern := range []string{"upper-*", "tmp/*"} {
		found, _ := filepath.Glob(filepath.Join(e.Dir, pattern))
		for _, f := range found {
			if !e.isLayer(f) {
				out = append(out, strings.TrimPrefix(f, e.Dir+"/"))
			}
		}
	}
	return out
}

func (e *Engine) isLayer(dir string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.layers {
		if d == dir {
			return true
		}
	}
	return false
}

// Adopt takes an image and its layers over from another engine.
func (e *Engine) Adopt(t testing.TB, from *Engine, name string, img build.Image) {
	t.Helper()
	for _, l := range img.Layers {
		r, err := from.Tar(context.Background(), l)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := e.layers[l.DiffID]; !ok {
			if _, err := e.Ingest(context.Background(), r, l.DiffID); err != nil {
				t.Fatal(err)
			}
		}
		r.Close()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[img.ID] = img
	e.names[familiar(name)] = img.ID
}
