package scratch

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// grace is how old a directory must be before a free lock means that its build is gone: its maker locks it right after making it.
const grace = 10 * time.Second

// Make makes a directory of mode 0700 whose name begins with prefix. release gives the lock back, after the directory's removal.
func Make(place, prefix string) (dir string, release func(), err error) {
	if dir, err = os.MkdirTemp(place, prefix); err != nil {
		return "", nil, err
	}
	f, err := lock(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, func() { _ = f.Close() }, nil
}

func lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Sweep calls remove for each directory that nobody uses. Those of other users and those in use are left alone.
func Sweep(place, prefix string, remove func(dir string)) {
	left, _ := filepath.Glob(filepath.Join(place, prefix+"*")) // the only error is a bad pattern
	for _, dir := range left {
		st, err := os.Lstat(dir)
		if err != nil || !st.IsDir() || time.Since(st.ModTime()) < grace {
			continue
		}
		if f, err := lock(dir); err == nil {
			remove(dir)
			_ = f.Close()
		}
	}
}
