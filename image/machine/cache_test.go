package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// foreign is a source whose owner has none of its ids.
func foreign(t *testing.T, dir string) Source {
	t.Helper()
	return Source{Dir: dir, DataRoot: t.TempDir(), Owner: me(), Mapped: func(uint32) bool { return false }}
}

func prepare(t *testing.T, src Source) *Root {
	t.Helper()
	root, err := Prepare(t.Context(), src)
	must(t, err)
	return root
}

func TestLayersAreRenewed(t *testing.T) {
	for _, c := range []struct {
		name   string
		renews bool
		change func(t *testing.T, dir string)
	}{
		{"nothing", false, func(*testing.T, string) {}},
		{"a directory near the top", true, func(t *testing.T, dir string) { must(t, os.Mkdir(dir+"/app/new", 0o755)) }},
		{"a copied file in place", true, func(t *testing.T, dir string) { must(t, os.WriteFile(dir+"/etc/f", []byte("longer"), 0o644)) }},
		{"a file that shows through", false, func(t *testing.T, dir string) { must(t, os.WriteFile(dir+"/app/file", []byte("longer"), 0o644)) }},
		{"a link in a copied directory", true, func(t *testing.T, dir string) { must(t, os.Symlink("x", dir+"/etc/link")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := plant(t, "file etc/f 644 x", "file app/file 644 x")
			src := foreign(t, dir)
			before := prepare(t, src)
			c.change(t, dir)
			after := prepare(t, src)
			if renewed := before.Cache != after.Cache; renewed != c.renews {
				t.Errorf("renewed: %v, want %v", renewed, c.renews)
			}
		})
	}
}

// A directory deep below is seen by the hourly look at everything.
func TestDeepChangeIsSeenLater(t *testing.T) {
	dir := plant(t, "dir a/b/c/d 755")
	src := foreign(t, dir)
	before := prepare(t, src)
	must(t, os.Mkdir(dir+"/a/b/c/d/e", 0o755))
	pointers, err := filepath.Glob(filepath.Join(src.DataRoot, cacheName, "*.json"))
	if err != nil || len(pointers) != 1 {
		t.Fatalf("pointers: %q %v", pointers, err)
	}
	old := time.Now().Add(-2 * wholeEvery)
	must(t, os.Chtimes(pointers[0], old, old))
	after := prepare(t, src)
	if before.Cache == after.Cache {
		t.Error("not seen")
	}
	if _, err := os.Stat(filepath.Join(after.Cache, "base/a/b/c/d/e")); err != nil {
		t.Error(err)
	}
}

func TestCollect(t *testing.T) {
	dir := plant(t, "file etc/f 644 x")
	src := foreign(t, dir)
	first := prepare(t, src)
	must(t, os.Mkdir(dir+"/one", 0o755))
	second := prepare(t, src)
	must(t, os.Mkdir(dir+"/two", 0o755))
	third := prepare(t, src)
	collect := func() int {
		n, err := Collect(src.DataRoot, func(cache string) bool { return cache == second.Cache })
		must(t, err)
		return n
	}
	if n := collect(); n != 0 {
		t.Errorf("%d removed that somebody may just have asked for", n)
	}
	old := time.Now().Add(-2 * keepRetired)
	for _, r := range []*Root{first, second} {
		must(t, os.Chtimes(filepath.Join(r.Cache, retiredFile), old, old))
	}
	if n := collect(); n != 1 {
		t.Errorf("%d removed, want 1", n)
	}
	for root, want := range map[*Root]bool{first: false, second: true, third: true} {
		if _, err := os.Stat(root.Cache); (err == nil) != want {
			t.Errorf("%q there: %v, want %v", root.Cache, err == nil, want)
		}
	}
}

func TestNothingHalfMade(t *testing.T) {
	src := foreign(t, plant(t, "file etc/f 644 x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Prepare(ctx, src); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	must(t, os.MkdirAll(filepath.Join(src.DataRoot, cacheName, newPrefix+"killed", "base"), 0o755))
	prepare(t, src)
	left, _ := filepath.Glob(filepath.Join(src.DataRoot, cacheName, newPrefix+"*"))
	if len(left) != 0 {
		t.Errorf("left half made: %q", left)
	}
}

func TestConcurrentPreparesShare(t *testing.T) {
	src := foreign(t, plant(t, "file etc/f 644 x", "dir a/b 755"))
	type result struct {
		root *Root
		err  error
	}
	results := make(chan result)
	for range 8 {
		go func() {
			root, err := Prepare(context.Background(), src)
			results <- result{root, err}
		}()
	}
	caches := map[string]bool{}
	for range 8 {
		r := <-results
		must(t, r.err)
		caches[r.root.Cache] = true
	}
	if len(caches) != 1 {
		t.Errorf("%d sets of layers, want 1", len(caches))
	}
}

func TestWhatIsPlain(t *testing.T) {
	dir := plant(t, "file etc/f 644 x")
	all := func(uint32) bool { return true }
	for _, c := range []struct {
		name string
		src  Source
		want bool
	}{
		{"the user's own", Source{Dir: dir, DataRoot: "/elsewhere", Owner: me()}, true},
		{"of a mapped id", Source{Dir: dir, DataRoot: "/elsewhere", Mapped: all}, true},
		{"somebody else's", Source{Dir: dir, DataRoot: "/elsewhere", Owner: Owner{12345, 12345}}, false},
		{"with the data root below", Source{Dir: dir, DataRoot: dir + "/data", Owner: me()}, false},
		{"the machine", Source{Dir: "/", DataRoot: "/elsewhere", Mapped: all}, false},
		{"with mounts below", Source{Dir: "/dev", DataRoot: "/elsewhere", Mapped: all}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Plain(c.src)
			if err != nil || got != c.want {
				t.Errorf("plain: %v (%v), want %v", got, err, c.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	dir := plant(t, "file f 644 x", "dir data/x 755", "dir closed 000")
	var overlap *OverlapError
	for _, c := range []struct {
		name, dir string
		is        func(error) bool
	}{
		{"missing", dir + "/none", func(err error) bool { return errors.Is(err, os.ErrNotExist) }},
		{"a file", dir + "/f", func(err error) bool { return err != nil }},
		{"the data root", dir + "/data", func(err error) bool { return errors.As(err, &overlap) && len(overlap.Hints()) == 1 }},
		{"below the data root", dir + "/data/x", func(err error) bool { return errors.As(err, &overlap) }},
		{"not clean", dir + "/../x", func(err error) bool { return err != nil }},
	} {
		if _, err := Prepare(t.Context(), Source{Dir: c.dir, DataRoot: dir + "/data", Owner: me()}); !c.is(err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Layers of another boot may be half written (they are not synced): they are made anew, and the old ones can be collected.
func TestAnotherBootRenews(t *testing.T) {
	src := foreign(t, plant(t, "file etc/f 644 x"))
	first := prepare(t, src)
	c := cache{dir: filepath.Join(src.DataRoot, cacheName), key: key(src)}
	b, err := os.ReadFile(c.pointerPath())
	must(t, err)
	must(t, os.WriteFile(c.pointerPath(), []byte(strings.Replace(string(b), bootID(), "another", 1)), 0o600))
	second := prepare(t, src)
	if first.Cache == second.Cache {
		t.Error("not made anew")
	}
	if _, err := os.Stat(filepath.Join(first.Cache, retiredFile)); err != nil {
		t.Errorf("the old ones cannot be collected: %v", err)
	}
}
