package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/moss-sandbox/moss/image"
)

// FullError says that the file system below the store, or the account's part of it, is full. It wraps ENOSPC or EDQUOT.
type FullError struct {
	Dir, Mount string // the store's root, and where its file system is mounted
	Err        error
	Remedies   []string
}

func (e *FullError) Error() string {
	what := "no space left on the file system of"
	if errors.Is(e.Err, syscall.EDQUOT) {
		what = "disk quota exceeded in"
	}
	return fmt.Sprintf("%s %q (mounted at %s): %v", what, e.Dir, e.Mount, e.Err)
}
func (e *FullError) Unwrap() error { return e.Err }

// Hints names the remedies.
func (e *FullError) Hints() []string { return e.Remedies }

// full recognizes a full disk.
func (s *Store) full(err error) error {
	var already *FullError
	if err == nil || errors.As(err, &already) || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	return &FullError{s.root, mountPoint(s.root), err, s.SpaceHints()}
}

// SpaceHints says what to do where there is no room: what moss uses there, what a prune would free, how to move.
func (s *Store) SpaceHints() []string {
	hints := []string{"set MOSS_ROOT, or give --root, to a directory on another file system"}
	u, err := s.Usage()
	if err != nil {
		return hints
	}
	kept, err := s.inContainers()
	if err != nil {
		return hints
	}
	free := u.Blobs + u.Trees - kept
	return append([]string{fmt.Sprintf("images take %d MB there; `moss system prune -a` would free %d MB of it", (u.Blobs+u.Trees)>>20, free>>20)}, hints...)
}

// inContainers is how many bytes the images of containers and of running commands take: what no prune removes.
func (s *Store) inContainers() (int64, error) {
	need := map[image.Digest]bool{}
	uses, err := s.uses()
	if err != nil {
		return 0, err
	}
	for _, u := range uses {
		for _, d := range u.Layers {
			need[d] = true
		}
		m, err := s.load(u.Image)
		if err != nil { // a directory's, or gone
			continue
		}
		if err := s.imageRoots(m, need); err != nil {
			return 0, err
		}
	}
	if err := s.sessionRoots(need); err != nil {
		return 0, err
	}
	sum := int64(0)
	for d := range need {
		if info, err := s.fs.Stat(blobFile(d)); err == nil {
			sum += info.Size()
		}
	}
	trees, err := s.trees()
	for _, t := range trees {
		if k, err := s.readMark(t.dir()); err == nil && need[t.diff()] {
			sum += k.Size
		}
	}
	return sum, err
}

// mountPoint is the directory on which a path's file system is mounted: the last on the way up with the same device.
func mountPoint(path string) string {
	var at, up syscall.Stat_t
	if syscall.Stat(path, &at) != nil {
		return path
	}
	for path != "/" {
		parent := filepath.Dir(path)
		if syscall.Stat(parent, &up) != nil || up.Dev != at.Dev {
			return path
		}
		path = parent
	}
	return path
}
