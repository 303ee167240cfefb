package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/image"
)

// TestCheck: each kind of damage is found, nothing is found where there is none, and after the repair nothing is left to
// find but what only a registry can bring back.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(s *Store, m *Image) error
		what   string
		lost   bool // a blob is needed from the registry
	}{
		{"nothing", func(*Store, *Image) error { return nil }, "", false},
		{"blob rotted", func(s *Store, m *Image) error {
			return os.WriteFile(s.root+"/"+blobFile(m.Layers[0].Digest), []byte("evil"), 0o600)
		}, "its content is not", true},
		{"blob emptied", func(s *Store, m *Image) error { return os.Truncate(s.root+"/"+blobFile(m.ID), 0) }, "its content is not", true},
		{"blob gone", func(s *Store, m *Image) error { return os.Remove(s.root + "/" + blobFile(m.Layers[1].Digest)) }, "is missing", true},
		{"stranger among blobs", func(s *Store, _ *Image) error { return os.WriteFile(s.root+"/"+blobDir+"/x", nil, 0o600) }, "not the name of a blob", false},
		{"record cut", func(s *Store, m *Image) error { return os.Truncate(s.root+"/"+recordFile(m.ID), 30) }, "truncated", false},
		{"name without image", func(s *Store, m *Image) error {
			r, _ := image.ParseRef("ghost")
			return s.writeName(r, image.SumBytes([]byte("x")), m.Manifest.Digest, "")
		}, "its image is gone", false},
		{"name cut", func(s *Store, m *Image) error {
			return os.WriteFile(s.root+"/names/docker.io%library%a:latest", []byte("{"), 0o600)
		}, "truncated", false},
		{"tree of another boot", func(s *Store, _ *Image) error { s.bootID = func() string { return "later" }; return nil }, "lost with the power", false},
		{"tree without mark", func(s *Store, m *Image) error { return os.Remove(s.LayerDir("own", m.Layers[0].DiffID) + "/mark") }, "lost with the power", false},
	} {
		s := newStore(t, Options{})
		m := put(t, s, newSample(1, "a", "one", "two"))
		if err := c.damage(s, m); err != nil {
			t.Fatal(err)
		}
		found, err := s.Check(t.Context(), OnlyLook, plainWorker{})
		if err != nil || (c.what == "") != (len(found) == 0) || c.what != "" && !strings.Contains(found[0].String(), c.what) {
			t.Errorf("%s: %v, %v", c.name, found, err)
		}
		if _, err := s.Check(t.Context(), SetAside, plainWorker{}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for range 2 { // what stood on what was set aside goes next
			found, err = s.Check(t.Context(), SetAside, plainWorker{})
		}
		if err != nil || c.lost != (len(found) > 0) {
			t.Errorf("%s: after the repair: %v, %v", c.name, found, err)
		}
		put(t, s, newSample(1, "a", "one", "two")) // a pull makes all good
		if found, err := s.Check(t.Context(), OnlyLook, plainWorker{}); err != nil || len(found) > 0 {
			t.Errorf("%s: after a pull: %v, %v", c.name, found, err)
		}
	}
}

// TestPublish: another account's store takes images from a published one without a registry, hashed and not copied.
func TestPublish(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // must not keep others out
	course := filepath.Join(t.TempDir(), "course")
	teacher := newStore(t, Options{})
	put(t, teacher, newSample(1, "a:1 a@sha256:"+strings.Repeat("ab", 32), "one", "two"))
	m, err := teacher.Inspect("a:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := teacher.Publish(t.Context(), course, []*Image{m}, nil); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(course + "/layers"); len(left) != 0 {
		t.Error("trees are published")
	}
	filepath.Walk(course, func(p string, info os.FileInfo, err error) error {
		if err != nil || info.Mode()&0o444 != 0o444 || info.IsDir() && info.Mode()&0o111 != 0o111 {
			t.Errorf("%s: %v, %v: others cannot read it", p, info.Mode(), err)
		}
		return nil
	})
	student := newStore(t, Options{Shared: []string{"/nonexistent", course}})
	r, _ := image.ParseRef("a:1")
	got, err := student.LookupShared(r)
	if err != nil || len(got.Layers) != 2 || got.Store != course {
		t.Fatalf("%+v, %v", got, err)
	}
	take := func(s *Store) (*Image, error) {
		ss := begin(t, s)
		defer ss.End()
		if err := ss.Unpack(t.Context(), got.Layers, Fetch{MapKey: "own", Worker: plainWorker{}}); err != nil {
			return nil, err
		}
		return ss.PutImage(t.Context(), got.NewImage)
	}
	im, err := take(student)
	if err != nil {
		t.Fatal(err)
	}
	if dirs, err := student.Lowers(im, "own"); err != nil || len(dirs) != 2 {
		t.Error(err)
	}
	if _, err := os.Stat(student.root + "/" + blobFile(im.Layers[0].Digest)); err == nil {
		t.Error("a layer's blob is copied")
	}
	if got, err := student.Collect(t.Context(), plainWorker{}); err != nil || got.Trees != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	os.Chmod(course+"/"+blobFile(im.Layers[1].Digest), 0o644)
	os.WriteFile(course+"/"+blobFile(im.Layers[1].Digest), []byte("evi"), 0o644) // as long as "two"
	if _, err := take(newStore(t, Options{Shared: []string{course}})); !errors.Is(err, ErrMismatch) {
		t.Errorf("unhashed bytes of a shared store: %v", err)
	}
	if _, err := student.LookupShared(r.WithTag("2")); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}
