package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/image/imagetest"
)

func TestMain(m *testing.M) { os.Exit(imagetest.Main(m.Run)) }

// TestFullDisk: on a file system that fills up at any point of a pull there is one clear error, nothing stays, removing
// works with nothing free, and a pull succeeds once there is room.
func TestFullDisk(t *testing.T) {
	if !mounts(t) {
		return
	}
	ok, failed := 0, 0
	for _, size := range []string{"24k", "40k", "64k", "96k", "128k", "256k"} {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Fatal(err)
		}
		s, err := Open(filepath.Join(dir, "data"), Options{})
		if err == nil {
			err = pullLarge(t, s)
		}
		if err == nil {
			ok++
		} else {
			failed++
		}
		var full *FullError
		if err != nil && !errors.As(err, &full) && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", size, err)
		}
		if s != nil {
			afterFull(t, s, size, dir, err)
		}
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
	if ok == 0 || failed < 3 {
		t.Errorf("%d pulls found room, %d did not", ok, failed)
	}
}

func pullLarge(t *testing.T, s *Store) error {
	p := newSample(1, "a", strings.Repeat("x", 30_000), strings.Repeat("y", 20_000))
	ss, err := s.Begin(t.Context())
	if err != nil {
		return err
	}
	defer ss.End()
	for _, l := range p.layers {
		if err := ss.Receive(t.Context(), fetch(l)); err != nil {
			return err
		}
	}
	_, err = ss.PutImage(t.Context(), p.NewImage)
	return err
}

func afterFull(t *testing.T, s *Store, size, dir string, pullErr error) {
	t.Helper()
	if _, err := s.Lookup("a"); (err == nil) != (pullErr == nil) {
		t.Errorf("%s: after %v: %v", size, pullErr, err)
	}
	if pullErr == nil {
		filler, _ := os.Create(dir + "/filler")
		for {
			if _, err := filler.Write(make([]byte, 4096)); err != nil {
				break
			}
		}
		filler.Close()
		if _, err := s.Remove(t.Context(), "a", RemoveOptions{Worker: plainWorker{}}); err != nil {
			t.Errorf("%s: removing with nothing free: %v", size, err)
		}
		return
	}
	empty(t, s, size)
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=2m"); err != nil {
		t.Fatal(err)
	}
	if err := pullLarge(t, s); err != nil {
		t.Errorf("%s: with room again: %v", size, err)
	}
}

// mounts makes sure of a mount namespace of its own: it runs the test once more inside one when there is none.
func mounts(t *testing.T) bool {
	t.Helper()
	if imagetest.Inside() {
		return true
	}
	if out, err := imagetest.Again(t.Name()); err != nil {
		t.Errorf("inside: %v\n%s", err, out)
	}
	return false
}

// TestOwner: as real root, what others must reach inside the namespace belongs to the owner the store was opened for.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 || imagetest.Inside() {
		t.Skip("for real root")
	}
	s := newStore(t, Options{Owner: &Owner{UID: 12345, GID: 12346}})
	m := put(t, s, newSample(1, "a", "x"))
	for _, name := range []string{"", "layers", "layers/own", layerDir("own", m.Layers[0].DiffID)} {
		var st syscall.Stat_t
		if err := syscall.Lstat(filepath.Join(s.root, name), &st); err != nil || st.Uid != 12345 || st.Mode&0o777 != 0o700 {
			t.Errorf("%q: uid %d, mode %o, %v", name, st.Uid, st.Mode, err)
		}
	}
}
