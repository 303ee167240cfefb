package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/moss-sandbox/moss/image"
)

// Use is what one container needs of the store.
type Use struct {
	Container string // id
	Running   bool
	Image     image.Digest
	Layers    []image.Digest // diff ids of its lower directories, also when its image is gone
}

// Collected says what a collection removed.
type Collected struct {
	Blobs, Trees int
	Freed        int64 // bytes of blobs and of trees' files
}

// collection is what one collection may remove and by whom trees are removed.
type collection struct {
	only    map[image.Digest]bool // nil: whatever nobody needs
	workers []Worker
}

// Collect removes what no image, session or container needs: blobs, trees, what interrupted commands left. It waits for
// holders of the store's lock, at most Options.LockFor (then ErrLocked). A damaged record is an error before anything is
// removed, since nobody knows what it needs.
func (s *Store) Collect(ctx context.Context, w Worker) (Collected, error) {
	return s.collect(ctx, collection{workers: []Worker{w}})
}

func (s *Store) collect(ctx context.Context, c collection) (Collected, error) {
	l, err := s.lock(ctx, Exclusive)
	if err != nil {
		return Collected{}, err
	}
	done, trash, err := s.sweep(c)
	l.Unlock()
	return done, errors.Join(err, s.removeTrash(ctx, trash, c.workers))
}

// sweep removes under the exclusive lock and returns the trees that are hidden and wait for a worker.
func (s *Store) sweep(c collection) (done Collected, trash []string, err error) {
	roots, err := s.roots()
	if err != nil {
		return done, nil, fmt.Errorf("finding what is needed: %w", err)
	}
	gone := func(d image.Digest) bool { return d != "" && !roots[d] && (c.only == nil || c.only[d]) }
	if err := s.sweepBlobs(gone, &done); err != nil {
		return done, nil, err
	}
	if err := errors.Join(s.sweepSessions(), s.sweepAbout(roots)); err != nil {
		return done, nil, err
	}
	trash, err = s.sweepTrees(gone, &done)
	return done, trash, err
}

// roots are all digests that somebody needs, of blobs, layers and images alike. Order: store, image, container.
func (s *Store) roots() (map[image.Digest]bool, error) {
	roots := map[image.Digest]bool{}
	ids, err := s.ids("")
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		m, err := s.load(id)
		if err != nil {
			return nil, err
		}
		if err := s.imageRoots(m, roots); err != nil {
			return nil, err
		}
	}
	if err := s.sessionRoots(roots); err != nil {
		return nil, err
	}
	uses, err := s.uses()
	for _, u := range uses {
		roots[u.Image] = true
		for _, d := range u.Layers {
			roots[d] = true
		}
	}
	return roots, err
}

func (s *Store) imageRoots(m *Image, roots map[image.Digest]bool) error {
	roots[m.ID] = true
	for _, l := range m.Layers {
		roots[l.DiffID], roots[l.Digest] = true, true
	}
	roots[m.Manifest.Digest] = true
	for _, d := range m.Others { // other compressions have other blobs
		roots[d.Digest] = true
		b, err := s.ReadBlob(d.Digest, image.MaxManifestBytes)
		if err != nil {
			continue
		}
		if mf, err := image.ParseManifest(b, ""); err == nil {
			for _, l := range mf.Layers {
				roots[l.Digest] = true
			}
		}
	}
	return nil
}

// sessionRoots adds what running sessions named. A session that nobody holds needs nothing.
func (s *Store) sessionRoots(roots map[image.Digest]bool) error {
	names, err := s.fs.ReadDir("sessions")
	if err != nil {
		return err
	}
	for _, n := range names {
		n = "sessions/" + n
		if s.abandoned(n) {
			continue
		}
		b, err := s.fs.ReadFile(n)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for line := range strings.Lines(string(b)) {
			roots[image.Digest(strings.TrimSuffix(line, "\n"))] = true
		}
	}
	return nil
}

func (s *Store) uses() ([]Use, error) {
	if s.inUse == nil {
		return nil, nil
	}
	return s.inUse()
}

func (s *Store) sweepBlobs(gone func(image.Digest) bool, done *Collected) error {
	names, err := s.fs.ReadDir(blobDir)
	if err != nil {
		return err
	}
	for _, n := range names {
		file := blobDir + "/" + n
		if strings.HasPrefix(n, tempPrefix) {
			if s.abandoned(file) {
				s.fs.Remove(file)
			}
			continue
		}
		if !image.IsID(n) || !gone(image.Digest("sha256:"+n)) {
			continue
		}
		if info, err := s.fs.Stat(file); err == nil {
			done.Freed += info.Size()
		}
		if err := s.fs.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		done.Blobs++
	}
	return nil
}

// abandoned tells whether nobody holds the lock on a session or on what carries tempPrefix. Who makes such a thing locks it
// before they let go of the store's lock: only who holds that exclusively may remove what is abandoned.
func (s *Store) abandoned(name string) bool {
	l, err := s.fs.Lock(context.Background(), name, TryExclusive)
	if err != nil {
		return false
	}
	l.Unlock()
	return true
}

// sweepSessions removes the sessions of processes that are gone.
func (s *Store) sweepSessions() error {
	names, err := s.fs.ReadDir("sessions")
	for _, n := range names {
		if s.abandoned("sessions/" + n) {
			s.fs.Remove("sessions/" + n)
		}
	}
	return err
}

// sweepAbout forgets blobs that are neither here nor needed from elsewhere, and what is left of interrupted writes.
func (s *Store) sweepAbout(roots map[image.Digest]bool) error {
	for _, dir := range []string{"about", "images", "names"} {
		names, err := s.fs.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, n := range names {
			d := image.Digest("sha256:" + n)
			_, here := s.HasBlob(d)
			forget := dir == "about" && d.Valid() && !roots[d] && !here
			if forget || strings.HasPrefix(n, tempPrefix) {
				s.fs.Remove(dir + "/" + n)
			}
		}
	}
	return nil
}

func (s *Store) sweepTrees(gone func(image.Digest) bool, done *Collected) (trash []string, err error) {
	trees, err := s.trees()
	if err != nil {
		return nil, err
	}
	for _, t := range trees {
		dir := t.dir()
		switch {
		case strings.HasPrefix(t.base, oldPrefix), strings.HasPrefix(t.base, tempPrefix) && s.abandoned(dir):
			trash = append(trash, dir)
		case gone(t.diff()):
			k, _ := s.readMark(dir)
			old, err := s.hideTree(dir)
			if err != nil {
				return trash, fmt.Errorf("removing layer: %w", err)
			}
			done.Trees++
			done.Freed += k.Size
			trash = append(trash, old)
		}
	}
	return trash, nil
}

// removeTrash removes hidden trees. A tree made under another id map may be beyond this worker: it stays hidden.
func (s *Store) removeTrash(ctx context.Context, trash []string, workers []Worker) error {
	if len(workers) == 0 || workers[0] == nil {
		return nil
	}
	var bad []error
	for _, t := range trash {
		if err := workers[0].RemoveTree(ctx, s.root+"/"+t); err != nil {
			bad = append(bad, fmt.Errorf("removing %q: %w", t, err))
		}
	}
	return errors.Join(bad...)
}
