package scratch

import (
	"os"
	"testing"
	"time"
)

// A directory is swept when its lock is free, and not when it is held, young, or somebody else's.
func TestSweep(t *testing.T) {
	place := t.TempDir()
	old := func(dir string) {
		t.Helper()
		past := time.Now().Add(-time.Minute)
		if err := os.Chtimes(dir, past, past); err != nil {
			t.Fatal(err)
		}
	}
	used, release, err := Make(place, "x-")
	if err != nil {
		t.Fatal(err)
	}
	gone, free, err := Make(place, "x-")
	if err != nil {
		t.Fatal(err)
	}
	free()
	young, free, err := Make(place, "x-")
	if err != nil {
		t.Fatal(err)
	}
	free()
	old(used)
	old(gone)
	sweep := func() (out []string) {
		Sweep(place, "x-", func(dir string) { out = append(out, dir) })
		return out
	}
	if got := sweep(); len(got) != 1 || got[0] != gone {
		t.Errorf("swept %q, want only %q (%q is used, %q is young)", got, gone, used, young)
	}
	release()
	if got := sweep(); len(got) != 2 {
		t.Errorf("after its release %q is not swept: %q", used, got)
	}
}
