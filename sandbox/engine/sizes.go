package engine

import (
	"os"
	"path/filepath"

	"github.com/moss-sandbox/moss/sandbox"
)

// Sizes are the bytes of a container's changes, and of its whole root.
func Sizes(c *sandbox.Snapshot) (rw, root int64) {
	for _, t := range c.Spec.Root.Trees {
		rw += TreeSize(c.Path(t.Upper))
		for _, l := range t.Lower {
			root += TreeSize(l)
		}
	}
	return rw, root + rw
}

// TreeSize is the bytes of a tree's regular files that this user can see.
func TreeSize(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if i, err := d.Info(); err == nil {
				n += i.Size()
			}
		}
		return nil
	})
	return n
}
