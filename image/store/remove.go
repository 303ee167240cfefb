package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/moss-sandbox/moss/image"
)

// RemoveOptions of Remove.
type RemoveOptions struct {
	Force  bool   // also from under stopped containers, and from several repositories at once
	Worker Worker // removes the trees; without one they stay hidden until a collection has one
}

// Removed is what Remove and Prune did, in the order in which Docker's rmi prints it.
type Removed struct {
	Untagged []string       // familiar names
	Deleted  []image.Digest // the image, then the chain ids of layers that no image has any more, top first
	Freed    int64          // bytes
}

// Remove does what Docker's rmi does: by name it takes the name away and removes the image with its last name; by id it
// removes the image. ErrNotFound, ErrAmbiguous, *ConflictError (ErrConflict).
func (s *Store) Remove(ctx context.Context, name string, opts RemoveOptions) (Removed, error) {
	var done Removed
	l, err := s.lock(ctx, Exclusive)
	if err != nil {
		return done, err
	}
	trash, err := s.removeLocked(name, opts, &done)
	l.Unlock()
	if err != nil {
		return done, err
	}
	return done, s.removeTrash(ctx, trash, []Worker{opts.Worker})
}

func (s *Store) removeLocked(name string, opts RemoveOptions, done *Removed) (trash []string, err error) {
	m, err := s.Inspect(name)
	if err != nil {
		return nil, err
	}
	uses, err := s.uses()
	if err != nil {
		return nil, err
	}
	uses = slices.DeleteFunc(uses, func(u Use) bool { return u.Image != m.ID })
	refs := append(slices.Clone(m.Names), m.Digests...)
	byName := m.Name != image.Ref{}
	switch {
	case byName && single(refs) && !opts.Force && len(uses) > 0:
		return nil, &ConflictError{fmt.Sprintf("unable to remove repository reference %q (must force) - container %s is using its referenced image %s",
			name, short(uses[0].Container), m.ID.Short())}
	case byName:
		if err := s.untag(refsToRemove(m.Name, refs), done); err != nil {
			return nil, err
		}
		if left := len(refs) - len(done.Untagged); left > 0 || running(uses) != "" {
			return nil, nil
		}
	default:
		if err := conflict(m, refs, uses, opts.Force); err != nil {
			return nil, err
		}
		if err := s.untag(refs, done); err != nil {
			return nil, err
		}
	}
	chains, err := s.chains()
	if err != nil {
		return nil, err
	}
	if err := s.forget(m, chains, done); err != nil {
		return nil, err
	}
	got, trash, err := s.sweep(collection{})
	done.Freed += got.Freed
	return trash, err
}

// single tells whether all names are in one repository and at most one is a tag.
func single(refs []image.Ref) bool {
	tags := 0
	for _, r := range refs {
		if r.Name() != refs[0].Name() {
			return false
		}
		if r.Tag != "" {
			tags++
		}
	}
	return tags <= 1
}

// refsToRemove is the name itself and, when it is the last tag in its repository, the repository's digests as well.
func refsToRemove(name image.Ref, refs []image.Ref) []image.Ref {
	out := []image.Ref{name}
	for _, r := range refs {
		if r.Tag != "" && r != name && r.Name() == name.Name() {
			return out
		}
	}
	if name.Tag == "" {
		return out
	}
	for _, r := range refs {
		if r.Digest != "" && r.Name() == name.Name() {
			out = append(out, r)
		}
	}
	return out
}

// conflict is what stands against removing an image by its id.
func conflict(m *Image, refs []image.Ref, uses []Use, force bool) error {
	refuse := func(can, why string) error {
		return &ConflictError{fmt.Sprintf("unable to delete %s (%s) - %s", m.ID.Short(), can, why)}
	}
	if c := running(uses); c != "" {
		return refuse("cannot be forced", "image is being used by running container "+short(c))
	}
	if force {
		return nil
	}
	if !single(refs) {
		return refuse("must be forced", "image is referenced in multiple repositories")
	}
	if len(uses) > 0 {
		return refuse("must be forced", "image is being used by stopped container "+short(uses[0].Container))
	}
	return nil
}

func running(uses []Use) string {
	for _, u := range uses {
		if u.Running {
			return u.Container
		}
	}
	return ""
}

func short(id string) string { return id[:min(12, len(id))] }

func (s *Store) untag(refs []image.Ref, done *Removed) error {
	for _, r := range refs {
		if err := s.fs.Remove(nameFile(r)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing name: %w", err)
		}
		done.Untagged = append(done.Untagged, r.Familiar())
	}
	if len(refs) == 0 {
		return nil
	}
	return s.fs.SyncDir("names") // a name must not come back after its image is gone
}

// forget removes a record whose names are gone; what only it needed is for the sweep. chains counts the images by chain id
// and is brought up to date.
func (s *Store) forget(m *Image, chains map[image.Digest]int, done *Removed) error {
	if err := s.fs.Remove(recordFile(m.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing image: %w", err)
	}
	if err := s.fs.SyncDir("images"); err != nil {
		return err
	}
	done.Deleted = append(done.Deleted, m.ID)
	for _, l := range slices.Backward(m.Layers) {
		if chains[l.ChainID]--; chains[l.ChainID] == 0 {
			done.Deleted = append(done.Deleted, l.ChainID)
		}
	}
	return nil
}

func (s *Store) chains() (map[image.Digest]int, error) {
	ids, err := s.ids("")
	chains := map[image.Digest]int{}
	for _, id := range ids {
		m, err := s.load(id)
		if err != nil {
			return nil, err
		}
		for _, l := range m.Layers {
			chains[l.ChainID]++
		}
	}
	return chains, err
}

// PruneOptions of Prune.
type PruneOptions struct {
	All    bool              // images without container, not only those without tag
	Until  time.Time         // only older ones; zero: all
	Keep   func(*Image) bool // filters of the caller, nil: none
	Worker Worker
}

// Prune removes the images that no container uses and, unless All, no tag names; then whatever nobody needs.
func (s *Store) Prune(ctx context.Context, opts PruneOptions) (Removed, error) {
	var done Removed
	l, err := s.lock(ctx, Exclusive)
	if err != nil {
		return done, err
	}
	trash, err := s.pruneLocked(opts, &done)
	l.Unlock()
	return done, errors.Join(err, s.removeTrash(ctx, trash, []Worker{opts.Worker}))
}

func (s *Store) pruneLocked(opts PruneOptions, done *Removed) (trash []string, err error) {
	images, err := s.List()
	if err != nil {
		return nil, err
	}
	chains, err := s.chains()
	if err != nil {
		return nil, err
	}
	uses, err := s.uses()
	if err != nil {
		return nil, err
	}
	used := map[image.Digest]bool{}
	for _, u := range uses {
		used[u.Image] = true
	}
	for _, m := range images {
		if used[m.ID] || opts.keeps(m) {
			continue
		}
		if err := s.untag(append(slices.Clone(m.Names), m.Digests...), done); err != nil {
			return nil, err
		}
		if err := s.forget(m, chains, done); err != nil {
			return nil, err
		}
	}
	got, trash, err := s.sweep(collection{})
	done.Freed += got.Freed
	return trash, err
}

// keeps tells whether the options spare an image.
func (o *PruneOptions) keeps(m *Image) bool {
	switch {
	case !o.All && len(m.Names) > 0, o.Keep != nil && o.Keep(m):
		return true
	}
	return !o.Until.IsZero() && m.Created.After(o.Until)
}
