package store

import (
	"strings"

	"github.com/moss-sandbox/moss/image"
)

// Usage is what a store holds, in bytes.
type Usage struct {
	Blobs       int64 // compressed layers, manifests, configurations
	Trees       int64 // unpacked layers, files' own sizes
	Reclaimable int64 // of both, what no image, running command or container needs: what Collect would remove
}

// Usage adds up what lies in the store, without locking it: a pull at work shows in part.
func (s *Store) Usage() (Usage, error) {
	var u Usage
	roots, err := s.roots()
	if err != nil {
		return u, err
	}
	add := func(to *int64, d image.Digest, n int64) {
		*to += n
		if !roots[d] {
			u.Reclaimable += n
		}
	}
	names, err := s.fs.ReadDir(blobDir)
	if err != nil {
		return u, err
	}
	for _, n := range names {
		if info, err := s.fs.Stat(blobDir + "/" + n); err == nil && !strings.HasPrefix(n, tempPrefix) {
			add(&u.Blobs, image.Digest("sha256:"+n), info.Size())
		}
	}
	trees, err := s.trees()
	if err != nil {
		return u, err
	}
	for _, t := range trees {
		if k, err := s.readMark(t.dir()); err == nil {
			add(&u.Trees, t.diff(), k.Size)
		}
	}
	return u, nil
}
