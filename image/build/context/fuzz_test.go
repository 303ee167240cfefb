package context

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/moss-sandbox/moss/image/build/tree"
)

// FuzzFromTar: whatever a stream holds and whatever name the Dockerfile is asked for by, nothing outside the directory is made,
// changed or read.
func FuzzFromTar(f *testing.F) {
	for _, h := range []tar.Header{
		{Name: "Dockerfile", Typeflag: tar.TypeReg, Size: 4}, {Name: "Dockerfile", Typeflag: tar.TypeSymlink, Linkname: "../canary"},
		{Name: "../canary", Typeflag: tar.TypeReg, Size: 4}, {Name: "p", Typeflag: tar.TypeFifo}, {Name: "c", Typeflag: tar.TypeChar},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		_ = w.WriteHeader(&h)
		_, _ = w.Write([]byte("FROM")[:h.Size])
		_ = w.Close()
		f.Add(b.Bytes(), h.Name)
	}
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		base := t.TempDir()
		canary, dir := filepath.Join(base, "canary"), filepath.Join(base, "context")
		if err := os.WriteFile(canary, []byte("safe"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if c, err := FromTar(bytes.NewReader(b), dir, tree.Limits{Entries: 100, Size: 1 << 20}); err == nil {
			if r, _, err := c.Dockerfile(name, false); err == nil {
				head := make([]byte, 4)
				if n, _ := r.Read(head); string(head[:n]) == "safe" {
					t.Errorf("%q is read outside", name)
				}
			}
			_ = c.ReadIgnore(name)
			c.Close()
		}
		if now, err := os.ReadFile(canary); err != nil || string(now) != "safe" {
			t.Errorf("the canary is %q, %v", now, err)
		}
		if all, _ := os.ReadDir(base); len(all) != 2 {
			t.Errorf("made outside: %v", all)
		}
	})
}
