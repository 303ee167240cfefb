package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image"
)

// said is what rmi prints.
func said(r Removed, p sample) string {
	out := append([]string{}, r.Untagged...)
	for _, d := range r.Deleted {
		name := "image"
		if d != p.id() {
			name = "chain"
		}
		out = append(out, "-"+name)
	}
	return strings.Join(out, " ")
}

func TestRemove(t *testing.T) {
	dig := "x@sha256:" + strings.Repeat("ab", 32)
	p := func(names string) sample { return newSample(1, names, "base", "top") }
	run, stop := Use{Container: "runningrunning", Running: true}, Use{Container: "stoppedstopped"}
	for _, c := range []struct {
		name   string
		names  string
		remove string
		force  bool
		uses   []Use
		want   string // what is said, or the error's text
	}{
		{"only name", "x:1", "x:1", false, nil, "x:1 -image -chain -chain"},
		{"one of two names", "x:1 x:2", "x:1", false, nil, "x:1"},
		{"last tag takes the digest", "x:1 " + dig, "x:1", false, nil, "x:1 " + dig + " -image -chain -chain"},
		{"digest stays with another tag", "x:1 x:2 " + dig, "x:1", false, nil, "x:1"},
		{"other repository stays", "x:1 y:1 " + dig, "x:1", false, nil, "x:1 " + dig},
		{"by id", "x:1", "ID", false, nil, "x:1 -image -chain -chain"},
		{"by id, unnamed", "", "ID", false, nil, "-image -chain -chain"},
		{"by id, two repositories", "x:1 y:1", "ID", false, nil, "conflict: unable to delete IDSHORT (must be forced) - image is referenced in multiple repositories"},
		{"by id, two repositories, forced", "x:1 y:1", "ID", true, nil, "x:1 y:1 -image -chain -chain"},
		{"by id, running", "x:1", "ID", true, []Use{run}, "conflict: unable to delete IDSHORT (cannot be forced) - image is being used by running container runningrunni"},
		{"by id, stopped", "x:1", "ID", false, []Use{stop}, "conflict: unable to delete IDSHORT (must be forced) - image is being used by stopped container stoppedstopp"},
		{"by id, stopped, forced", "x:1", "ID", true, []Use{stop}, "x:1 -image -chain -chain"},
		{"by name, used", "x:1", "x:1", false, []Use{stop}, `conflict: unable to remove repository reference "x:1" (must force) - container stoppedstopp is using its referenced image IDSHORT`},
		{"by name, used, other name left", "x:1 y:1", "x:1", false, []Use{run}, "x:1"},
		{"by name, running, forced", "x:1", "x:1", true, []Use{run}, "x:1"},
		{"by name, stopped, forced", "x:1", "x:1", true, []Use{stop}, "x:1 -image -chain -chain"},
		{"unknown", "x:1", "y", false, nil, "No such image: y:latest"},
	} {
		sample := p(c.names)
		for i := range c.uses {
			c.uses[i].Image = sample.id()
		}
		s := newStore(t, Options{InUse: func() ([]Use, error) { return c.uses, nil }})
		put(t, s, sample)
		name := strings.Replace(c.remove, "ID", sample.id().Short(), 1)
		got, err := s.Remove(t.Context(), name, RemoveOptions{Force: c.force, Worker: plainWorker{}})
		text := said(got, sample)
		if err != nil {
			text = err.Error()
		}
		if want := strings.Replace(c.want, "IDSHORT", sample.id().Short(), 1); text != want {
			t.Errorf("%s: %s, want %s", c.name, text, want)
		}
		if strings.HasSuffix(c.want, "-chain -chain") && !strings.Contains(c.name, "stopped") {
			empty(t, s, c.name)
		}
	}
}

// TestSharedLayersStay: what another image has stays, and only what goes is told.
func TestSharedLayersStay(t *testing.T) {
	s := newStore(t, Options{})
	a, b := newSample(1, "a", "base", "a"), newSample(2, "b", "base", "b")
	put(t, s, a)
	mb := put(t, s, b)
	got, err := s.Remove(t.Context(), "a", RemoveOptions{Worker: plainWorker{}})
	if err != nil || said(got, a) != "a:latest -image -chain" || got.Freed == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.Lowers(mb, "own"); err != nil {
		t.Error(err)
	}
	for _, l := range mb.Layers {
		if _, ok := s.HasBlob(l.Digest); !ok {
			t.Errorf("blob %s is gone", l.Digest)
		}
	}
}

// TestContainerKeepsTrees: rmi -f under a stopped container leaves its lower directories.
func TestContainerKeepsTrees(t *testing.T) {
	p := newSample(1, "a", "base", "top")
	diffs := []image.Digest{image.SumBytes([]byte("base")), image.SumBytes([]byte("top"))}
	s := newStore(t, Options{InUse: func() ([]Use, error) { return []Use{{Container: "c", Image: p.id(), Layers: diffs}}, nil }})
	m := put(t, s, p)
	if _, err := s.Remove(t.Context(), "a", RemoveOptions{Force: true, Worker: plainWorker{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lowers(m, "own"); err != nil {
		t.Errorf("the container has lost its layers: %v", err)
	}
}

// TestCollectSparesSessions: a collection in the middle of a pull takes nothing of it; one after its death takes all.
func TestCollectSparesSessions(t *testing.T) {
	s := newStore(t, Options{})
	ss := begin(t, s)
	if err := ss.Receive(t.Context(), fetch("layer")); err != nil {
		t.Fatal(err)
	}
	w, err := ss.NewBlob(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("half"))
	st, err := ss.newStage(t.Context(), "own", plainWorker{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Collect(t.Context(), plainWorker{}); err != nil || got.Blobs+got.Trees != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, name := range []string{blobFile(image.SumBytes([]byte("layer"))), w.tmp, st.name} {
		if _, err := os.Stat(s.root + "/" + name); err != nil {
			t.Errorf("the pull has lost %s", name)
		}
	}
	ss.lock.Unlock() // as SIGKILL does
	w.lock.Unlock()
	st.lock.Unlock()
	if got, err := s.Collect(t.Context(), plainWorker{}); err != nil || got.Blobs != 1 || got.Trees != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	empty(t, s, "after its death")
}

func TestPrune(t *testing.T) {
	used := newSample(4, "", "used")
	s := newStore(t, Options{InUse: func() ([]Use, error) { return []Use{{Container: "c", Image: used.id()}}, nil }})
	named, dangling, young := newSample(1, "a", "n"), newSample(2, "d@sha256:"+strings.Repeat("ab", 32), "d"), newSample(100, "", "y")
	for _, p := range []sample{used, named, dangling, young} {
		put(t, s, p)
	}
	got, err := s.Prune(t.Context(), PruneOptions{Until: time.Unix(50, 0), Worker: plainWorker{}})
	if err != nil || len(got.Deleted) != 2 || got.Deleted[0] != dangling.id() || len(got.Untagged) != 1 {
		t.Errorf("old dangling ones: %+v, %v", got, err)
	}
	got, err = s.Prune(t.Context(), PruneOptions{All: true, Worker: plainWorker{}})
	if err != nil || len(got.Deleted) != 4 {
		t.Errorf("all: %+v, %v", got, err)
	}
	if images, _ := s.List(); len(images) != 1 || images[0].ID != used.id() {
		t.Errorf("left: %v", images)
	}
}

func TestUsage(t *testing.T) {
	s := newStore(t, Options{})
	put(t, s, newSample(1, "a", "12345"))
	before, err := s.Usage()
	if err != nil || before.Trees != 5 || before.Blobs < 100 || before.Reclaimable != 0 {
		t.Errorf("%+v, %v", before, err)
	}
	ss := begin(t, s)
	if err := ss.Receive(t.Context(), fetch("1234567")); err != nil {
		t.Fatal(err)
	}
	if u, err := s.Usage(); err != nil || u.Reclaimable != 0 || u.Trees != 12 {
		t.Errorf("during a pull: %+v, %v", u, err)
	}
	ss.lock.Unlock() // as SIGKILL does
	if u, err := s.Usage(); err != nil || u.Reclaimable != 14 {
		t.Errorf("after its death: %+v, %v", u, err)
	}
	if got, err := s.Collect(t.Context(), plainWorker{}); err != nil || got.Freed != 14 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestLockedStore: a stopped holder of the lock does not hang others, and is named.
func TestLockedStore(t *testing.T) {
	s := newStore(t, Options{LockFor: 50 * time.Millisecond})
	put(t, s, newSample(1, "a", "x"))
	release, err := s.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Remove(t.Context(), "a", RemoveOptions{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("%v", err)
	}
	if _, err := s.Lookup("a"); err != nil {
		t.Errorf("readers wait: %v", err)
	}
	release()
	if _, err := s.Remove(t.Context(), "a", RemoveOptions{Worker: plainWorker{}}); err != nil {
		t.Error(err)
	}
}

func TestParseLocks(t *testing.T) {
	text := "1: POSIX  ADVISORY  WRITE 1 08:01:77 0 EOF\n2: FLOCK  ADVISORY  READ 4242 fd:00:77 0 EOF\n2: -> FLOCK  ADVISORY  WRITE 5 fd:00:77 0 EOF\n"
	if pid := parseLocks(text, 77); pid != 4242 {
		t.Error(pid)
	}
	if pid := parseLocks(text, 7); pid != 0 {
		t.Error(pid)
	}
}

// TestDamagedRecord: what cannot be parsed hides only itself, and nothing is collected while nobody knows what it needs.
func TestDamagedRecord(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "cut": `{"v":1,"id":`, "zeros": "\x00\x00", "newer": "{\"v\":2,\"id\":1}\n", "other": "{\"v\":1,\"id\":\"sha256:x\"}\n", "text": "hello\n"} {
		s := newStore(t, Options{})
		a, b := put(t, s, newSample(1, "a", "a")), put(t, s, newSample(2, "b", "b"))
		file := filepath.Join(s.root, recordFile(a.ID))
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lookup("a"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		images, err := s.List()
		if len(images) != 1 || images[0].ID != b.ID || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: list %v, %v", name, images, err)
		}
		if _, err := s.Collect(t.Context(), plainWorker{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: collected: %v", name, err)
		}
		if _, ok := s.HasBlob(a.Layers[0].Digest); !ok {
			t.Errorf("%s: blob gone", name)
		}
	}
}
