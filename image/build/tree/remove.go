package tree

import (
	"errors"
	"fmt"
	"path"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// RemoveAll removes name in d and what is below it, never through a link. What does not exist is no error.
func (d *Dir) RemoveAll(name string) error { return d.removeAll(name, 0) }

func (d *Dir) removeAll(name string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("removing %q: more than %d directories deep", name, maxDepth)
	}
	err := sys.UnlinkAt(d.fd(), name, false)
	if err == nil || errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if !errors.Is(err, syscall.EISDIR) && !errors.Is(err, syscall.EPERM) {
		return d.in(err)
	}
	sub, err := d.Sub(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	names, err := sub.Names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := sub.removeAll(n, depth+1); err != nil {
			return err
		}
	}
	return d.in(sys.UnlinkAt(d.fd(), name, true))
}

// RemoveEmpty removes p, and then the directories above it, as long as they are empty directories or empty files, and stops
// at the first one that keep tells to keep. Nothing is followed.
func (d *Dir) RemoveEmpty(p string, keep func(p string) bool) error {
	for p = clean(p); p != "/"; p = path.Dir(p) {
		if keep(p) {
			return nil
		}
		dir, name, err := d.plain(p)
		if err != nil || name == "." {
			return nil
		}
		st, err := dir.Stat(name)
		if err == nil {
			isDir := st.Mode&syscall.S_IFMT == syscall.S_IFDIR
			if !isDir && (st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Size != 0) {
				err = syscall.ENOTEMPTY
			} else {
				err = sys.UnlinkAt(dir.fd(), name, isDir)
			}
		}
		dir.Close()
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return nil
		}
	}
	return nil
}
