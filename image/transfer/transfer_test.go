package transfer

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer/compress"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/image/registry/registrytest"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/image/worker"
)

func newStore(t *testing.T, opts store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "data"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newSink(t *testing.T, s *store.Store) *Sink {
	t.Helper()
	ss, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ss.End() })
	return &Sink{Session: ss, Worker: worker.Local{}, MapKey: "own"}
}

func client(t *testing.T) *registry.Client {
	c := registry.New(registry.Config{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }})
	t.Cleanup(c.Close)
	return c
}

func parse(t *testing.T, s string) image.Ref {
	t.Helper()
	r, err := image.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func pull(t *testing.T, c *registry.Client, s *store.Store, name string) (registry.Pulled, error) {
	t.Helper()
	r := parse(t, name)
	done, err := c.Pull(t.Context(), r, registry.PullOptions{Known: Known(s, r, image.HostPlatform(), "own"), SinkHashes: true}, newSink(t, s), registry.Silent{})
	if err != nil {
		return registry.Pulled{}, err
	}
	return done[0], nil
}

// TestPullPush: an image goes from a registry into a store, out again byte for byte, and into another store.
func TestPullPush(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	im := registrytest.NewImage(t, 1, 300_000, 10, 2_000_000)
	server.Put(t, "a/b", "1", im)
	c, s := client(t), newStore(t, store.Options{})
	name := server.Host + "/a/b:1"
	if p, err := pull(t, c, s, name); err != nil || !p.Newer || p.Digest != im.Digest() {
		t.Fatalf("%+v, %v", p, err)
	}
	m, err := s.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	if dirs, err := s.Lowers(m, "own"); err != nil || len(dirs) != 3 || m.Size != 2_300_010 {
		t.Errorf("%v, %v, %d bytes", dirs, err, m.Size)
	}
	if _, err := s.Lookup(server.Host + "/a/b@" + string(im.Digest())); err != nil {
		t.Errorf("by digest: %v", err)
	}
	before := server.Count(http.MethodGet, "/blobs/")
	if p, err := pull(t, c, s, name); err != nil || p.Newer || server.Count(http.MethodGet, "/blobs/") != before {
		t.Errorf("second pull: %+v, %v", p, err)
	}
	if got := s.Origins(m.Layers[0].Digest); len(got) != 1 || got[0] != server.Host+"/a/b" {
		t.Errorf("origins: %q", got)
	}
	k := newSink(t, s)
	up, err := Upload(t.Context(), k.Session, m, "2", compress.Gzip)
	if err != nil {
		t.Fatal(err)
	}
	done, err := c.Push(t.Context(), parse(t, server.Host+"/c"), []registry.Upload{up}, Source{s}, registry.Silent{})
	if err != nil || done[0].Digest != im.Digest() {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := pull(t, c, newStore(t, store.Options{}), server.Host+"/c:2"); err != nil {
		t.Error(err)
	}
}

// TestPushOwn: a layer made here is compressed for its push, once, and pulls back as the same image.
func TestPushOwn(t *testing.T) {
	s := newStore(t, store.Options{})
	k := newSink(t, s)
	upper := filepath.Join(s.Root(), "upper")
	os.MkdirAll(upper+"/d", 0o755)
	os.WriteFile(upper+"/d/f", make([]byte, 1<<20), 0o644)
	l, stats, err := k.Session.Pack(t.Context(), worker.Local{}, upper, store.PackOptions{})
	if err != nil || stats.Entries != 2 {
		t.Fatalf("%+v, %v", stats, err)
	}
	if err := k.Session.Adopt(t.Context(), worker.Local{}, "own", upper, "", l, stats); err != nil {
		t.Fatal(err)
	}
	config := []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + string(l.DiffID) + `"]}}`)
	m, err := k.Session.Compose(t.Context(), store.Composed{Config: config, Layers: []image.Layer{l}, Names: []image.Ref{parse(t, "own:1")}})
	if err != nil {
		t.Fatal(err)
	}
	if dirs, err := s.Lowers(m, "own"); err != nil || len(dirs) != 1 {
		t.Fatalf("the adopted tree is not found: %v", err)
	} else if info, err := os.Stat(dirs[0] + "/d/f"); err != nil || info.Size() != 1<<20 {
		t.Errorf("%v, %v", info, err)
	}
	server := registrytest.Start(t, registrytest.Options{})
	c := client(t)
	var sent [2]image.Digest
	for i := range sent {
		m, _ = s.Lookup("own:1")
		up, err := Upload(t.Context(), k.Session, m, "1", compress.Gzip)
		if err != nil {
			t.Fatal(err)
		}
		if up.Layers[0].Size > 100_000 || up.Layers[0].MediaType != image.TypeOCILayer {
			t.Errorf("not compressed: %+v", up.Layers[0])
		}
		done, err := c.Push(t.Context(), parse(t, server.Host+"/own:1"), []registry.Upload{up}, Source{s}, registry.Silent{})
		if err != nil {
			t.Fatal(err)
		}
		sent[i] = done[0].Digest
	}
	if sent[0] != sent[1] {
		t.Errorf("two pushes send two images: %v", sent)
	}
	other := newStore(t, store.Options{})
	if p, err := pull(t, c, other, server.Host+"/own:1"); err != nil || p.ID != m.ID {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestFailedPull: what a registry sends wrong leaves nothing.
func TestFailedPull(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{Fault: registrytest.Blobs(1000, registrytest.WrongBytes())})
	server.Put(t, "x", "1", registrytest.NewImage(t, 1, 100_000))
	s := newStore(t, store.Options{})
	k := newSink(t, s)
	_, err := client(t).Pull(t.Context(), parse(t, server.Host+"/x:1"), registry.PullOptions{SinkHashes: true}, k, registry.Silent{})
	if !errors.Is(err, store.ErrMismatch) {
		t.Errorf("%v", err)
	}
	if err := k.Session.End(); err != nil {
		t.Error(err)
	}
	left, _ := os.ReadDir(s.Root() + "/blobs/sha256")
	trees, _ := os.ReadDir(s.Root() + "/layers/own")
	if len(left)+len(trees) != 0 {
		t.Errorf("left: %v %v", left, trees)
	}
}
