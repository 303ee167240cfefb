package tree

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// grow makes files in words: "dir/", "file=content", "link->target", "file!0755=content".
func grow(t *testing.T, words ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, w := range words {
		growOne(t, root, w)
	}
	return root
}

func growOne(t *testing.T, root, w string) {
	t.Helper()
	name, content, isFile := strings.Cut(w, "=")
	if link, target, ok := strings.Cut(w, "->"); ok {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, link)), 0o755))
		must(t, os.Symlink(target, filepath.Join(root, link)))
		return
	}
	mode := fs.FileMode(0o644)
	if n, m, ok := strings.Cut(name, "!"); ok {
		var bits uint32
		fmt.Sscanf(m, "%o", &bits)
		name, mode = n, fs.FileMode(bits)
	}
	p := filepath.Join(root, name)
	if !isFile {
		must(t, os.MkdirAll(p, 0o755))
		return
	}
	must(t, os.MkdirAll(filepath.Dir(p), 0o755))
	must(t, os.WriteFile(p, []byte(content), mode))
	must(t, os.Chmod(p, mode))
}

// words is the inverse of grow, without directories that are not empty, joined by spaces.
func words(t *testing.T, root string) string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		switch {
		case d.Type() == fs.ModeSymlink:
			target, _ := os.Readlink(p)
			out = append(out, rel+"->"+target)
		case d.IsDir():
			if inside, _ := os.ReadDir(p); len(inside) == 0 {
				out = append(out, rel+"/")
			}
		default:
			b, _ := os.ReadFile(p)
			info, _ := d.Info()
			if m := info.Mode().Perm(); m != 0o644 {
				rel += fmt.Sprintf("!%04o", m)
			}
			out = append(out, rel+"="+string(b))
		}
		return nil
	}))
	return strings.Join(out, " ")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, root string) *Dir {
	t.Helper()
	d, err := Open(root)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// same are owners for tests without privileges: everything is the caller's.
type same struct{ Kernel }

func (s same) Set(dir *Dir, name string, _ Owner, mode uint32) error {
	return s.Kernel.Set(dir, name, Owner{os.Geteuid(), os.Getegid()}, mode)
}
