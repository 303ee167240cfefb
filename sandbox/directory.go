package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/sandbox/spec"
)

// NewID returns a container id: 64 hex digits.
func NewID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// A NotFoundError says that a name or id addresses nothing.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string        { return "No such container: " + e.Name }
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// An AmbiguousError says that an id prefix addresses several containers.
type AmbiguousError struct{ Prefix string }

func (e *AmbiguousError) Error() string {
	return "multiple IDs found with provided prefix: " + e.Prefix
}

// A ConflictError says that a name is taken.
type ConflictError struct{ Name, ID string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", "/"+e.Name, e.ID)
}

// Open returns the container with this id, whether it exists or not.
func (d *Dirs) Open(id string) *Sandbox {
	return &Sandbox{ID: id, Dir: d.Containers() + "/" + id, dirs: d}
}

// Reserve makes a new container's directory, which nobody sees before its specification is written by Publish. The
// returned file is the right to serve it; while it is open, nobody sweeps the directory away.
func (d *Dirs) Reserve(sp *spec.Spec) (*Sandbox, *os.File, error) {
	s := d.Open(sp.ID)
	err := d.Mkdir(s.Dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) { // the first container of all
		for _, dir := range []string{d.Containers(), d.Names(), d.Mnt()} {
			if err := d.Ensure(dir); err != nil {
				return nil, nil, err
			}
		}
		err = d.Mkdir(s.Dir, 0o700)
	}
	if err != nil {
		return nil, nil, err
	}
	for range 200 {
		served, err := s.TryServe()
		if err == nil && s.servedIs(served) {
			return s, served, nil
		}
		if err == nil {
			served.Close()
		}
		if err != nil && !errors.Is(err, ErrBusy) && !errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(s.Dir)
			return nil, nil, err
		}
		time.Sleep(500 * time.Microsecond) // somebody swept the directory away before it was locked
		if err := d.Mkdir(s.Dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("making container %s: %w", sp.ID[:12], ErrBusy)
}

// servedIs tells whether an open lock file is still the one in the directory.
func (s *Sandbox) servedIs(f *os.File) bool {
	mine, err1 := f.Stat()
	there, err2 := os.Lstat(s.path("served"))
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

// Publish gives the container its name and makes it visible. A *ConflictError leaves the directory to be removed.
func (s *Sandbox) Publish(sp *spec.Spec) error {
	if err := s.dirs.TakeName(sp.Name, sp.ID); err != nil {
		return err
	}
	if err := s.SaveSpec(sp); err != nil {
		_ = os.Remove(s.dirs.Names() + "/" + sp.Name)
		return err
	}
	return nil
}

// TakeName makes a name lead to an id, atomically.
func (d *Dirs) TakeName(name, id string) error {
	link := d.Names() + "/" + name
	for range 3 {
		err := os.Symlink(id, link)
		if errors.Is(err, fs.ErrNotExist) && d.Ensure(d.Names()) == nil {
			err = os.Symlink(id, link)
		}
		if err == nil {
			return d.Own(link)
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		old, err := os.Readlink(link)
		if err != nil {
			continue
		}
		if s := d.Open(old); s.exists() || s.Served() {
			return &ConflictError{Name: name, ID: old}
		}
		_ = os.Remove(link) // its container is gone or was never finished
	}
	return &ConflictError{Name: name}
}

// DropName takes a name away if it leads to this id.
func (d *Dirs) DropName(name, id string) {
	if old, err := os.Readlink(d.Names() + "/" + name); err == nil && old == id {
		_ = os.Remove(d.Names() + "/" + name)
	}
}

// exists tells whether the container's specification is there.
func (s *Sandbox) exists() bool {
	_, err := os.Lstat(s.path("spec.json"))
	return err == nil
}

// List returns the ids of all containers, those whose directory is half-made or half-removed left out.
func (d *Dirs) List() ([]*Sandbox, error) {
	all, _, err := d.Listing()
	return all, err
}

// Listing is List that tells also whether there are directories that are half-made or half-removed.
func (d *Dirs) Listing() (all []*Sandbox, half bool, err error) {
	f, err := os.Open(d.Containers())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, false, fmt.Errorf("listing containers: %w", err)
	}
	sort.Strings(names)
	for _, n := range names {
		if len(n) != 64 {
			continue
		}
		if s := d.Open(n); s.exists() {
			all = append(all, s)
		} else {
			half = true
		}
	}
	return all, half, nil
}

// Find returns the container that a name, a full id or a unique prefix of an id addresses: a full id first, then the name,
// then the prefix, as Docker does.
func (d *Dirs) Find(name string) (*Sandbox, error) {
	name = strings.TrimPrefix(name, "/")
	if name == "" || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
		return nil, &NotFoundError{name}
	}
	if len(name) == 64 {
		if s := d.Open(name); s.exists() {
			return s, nil
		}
	}
	if id, err := os.Readlink(d.Names() + "/" + name); err == nil {
		if s := d.Open(id); s.exists() {
			return s, nil
		}
	}
	return d.byPrefix(name)
}

func (d *Dirs) byPrefix(prefix string) (*Sandbox, error) {
	all, err := d.List()
	if err != nil {
		return nil, err
	}
	var found *Sandbox
	for _, s := range all {
		if strings.HasPrefix(s.ID, prefix) {
			if found != nil {
				return nil, &AmbiguousError{prefix}
			}
			found = s
		}
	}
	if found == nil {
		return nil, &NotFoundError{prefix}
	}
	return found, nil
}
