package machine

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// An ownWalk asks whose a tree is.
type ownWalk struct{ mapped func(uid uint32) bool }

// own tells whether the directory and what is in it, that many levels deep, belongs to ids that exist inside.
func (w *ownWalk) own(dir string, levels int) (bool, error) {
	st, err := os.Lstat(dir)
	if err != nil {
		return false, err
	}
	if s, ok := st.Sys().(*syscall.Stat_t); ok && !w.mapped(s.Uid) {
		return false, nil
	}
	if levels == 0 || !st.IsDir() {
		return true, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrPermission) { // a directory of a subordinate id
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if ok, err := w.own(dir+"/"+e.Name(), levels-1); !ok || err != nil {
			return ok, err
		}
	}
	return true, nil
}
