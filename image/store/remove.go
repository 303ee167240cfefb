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
	Force bool // also from under stopped containers, and from several repositories at once
	// KeepParents leaves the images it was made of, which otherwise go with the last that stands on them (--no-prune).
	KeepParents bool
	Worker      Worker // removes the trees; without one they stay hidden until a collection has one
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
	fam, err := s.family(uses)
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
		if left := len(refs) - len(done.Untagged); left > 0 || running(uses) != "" || fam.children[m.ID] > 0 {
			return nil, nil
		}
	default:
		if err := conflict(m, refs, uses, fam, opts.Force); err != nil {
			return nil, err
		}
		if err := s.untag(refs, done); err != nil {
			return nil, err
		}
	}
	if err := s.forgetLine(m, fam, opts.KeepParents, done); err != nil {
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
func conflict(m *Image, refs []image.Ref, uses []Use, fam *family, force bool) error {
	refuse := func(can, why string) error {
		return &ConflictError{fmt.Sprintf("unable to delete %s (%s) - %s", m.ID.Short(), can, why)}
	}
	if fam.children[m.ID] > 0 {
		return refuse("cannot be forced", "image has dependent child images")
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

// forgetLine removes a record whose names are gone and then, unless they are to stay, the images it was made of: those
// without a name, a container and another image made of them. Docker's rmi does so, and it is why a build's steps go with
// its result.
func (s *Store) forgetLine(m *Image, fam *family, keepParents bool, done *Removed) error {
	for {
		if err := s.forget(m, fam, done); err != nil {
			return err
		}
		parent := fam.images[m.Parent]
		if keepParents || parent == nil || fam.children[parent.ID] > 0 || fam.needed[parent.ID] {
			return nil
		}
		m = parent
	}
}

// forget removes one record; what only it needed is for the sweep.
func (s *Store) forget(m *Image, fam *family, done *Removed) error {
	if err := s.fs.Remove(recordFile(m.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing image: %w", err)
	}
	if err := s.fs.SyncDir("images"); err != nil {
		return err
	}
	done.Deleted = append(done.Deleted, m.ID)
	for _, l := range slices.Backward(m.Layers) {
		if fam.chains[l.ChainID]--; fam.chains[l.ChainID] == 0 {
			done.Deleted = append(done.Deleted, l.ChainID)
		}
	}
	fam.children[m.Parent]--
	delete(fam.images, m.ID)
	return nil
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
	uses, err := s.uses()
	if err != nil {
		return nil, err
	}
	fam, err := s.family(uses)
	if err != nil {
		return nil, err
	}
	for _, m := range images { // newest first: children before what they were made of
		refs := append(slices.Clone(m.Names), m.Digests...)
		switch {
		case fam.images[m.ID] == nil, fam.used[m.ID], opts.keeps(m), len(refs) == 0 && fam.children[m.ID] > 0:
			continue
		}
		if err := s.untag(refs, done); err != nil {
			return nil, err
		}
		if fam.children[m.ID] > 0 { // its children's children may go yet, and it with them
			fam.needed[m.ID] = false
			continue
		}
		if err := s.forgetLine(m, fam, false, done); err != nil {
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
