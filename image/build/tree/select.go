package tree

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// A Selection says which parts of a tree COPY takes. It is plain data that travels to the worker as JSON.
type Selection struct {
	Sources  []string `json:"sources"`           // as in the Dockerfile, wildcards allowed
	Ignore   []string `json:"ignore,omitempty"`  // .dockerignore
	Excludes []string `json:"exclude,omitempty"` // --exclude, relative to each source
	Parents  bool     `json:"parents,omitempty"` // --parents
}

// An Item is one thing to copy: a file, or a directory whose content is copied.
type Item struct {
	Real  string // where it lies in the tree, without links
	Name  string // the last part of what the Dockerfile calls it; with Parents the whole path behind the pivot
	Pivot string // with Parents: the real path of the directory that Name is relative to
	Dir   bool   // its content is meant
	stat  sys.Stat
}

// ErrNotFound is wrapped by the error for a source without wildcard that does not exist.
var ErrNotFound = errors.New("not found")

// A MissingError is a source that does not exist, or that .dockerignore hides.
type MissingError struct {
	Source string
	Hidden bool     // it exists and is excluded
	Near   []string // what exists and has a similar name
}

// Error is worded like BuildKit's.
func (e *MissingError) Error() string {
	if e.Hidden {
		return fmt.Sprintf("%q: not found: excluded by .dockerignore", e.Source)
	}
	return fmt.Sprintf("%q: not found", e.Source)
}

// Unwrap makes errors.Is(err, ErrNotFound) true.
func (e *MissingError) Unwrap() error { return ErrNotFound }

// Hints names what may have been meant.
func (e *MissingError) Hints() []string {
	if e.Hidden {
		return []string{fmt.Sprintf("%s exists, but a line of .dockerignore excludes it; take it back with !%s", e.Source, strings.TrimPrefix(e.Source, "/"))}
	}
	if len(e.Near) > 0 {
		return []string{"did you mean " + strings.Join(e.Near, " or ") + "?"}
	}
	return []string{"sources are relative to the build context, the directory given to build"}
}

// Items resolves the sources below root. A source without wildcards that is missing is a *MissingError; a wildcard may match
// nothing.
func (s Selection) Items(root *Dir) ([]Item, error) {
	ignore, err := NewPatterns(s.Ignore)
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, src := range s.Sources {
		found, err := s.items(root, src, ignore)
		if err != nil {
			return nil, err
		}
		items = append(items, found...)
	}
	return items, nil
}

func (s Selection) items(root *Dir, src string, ignore *Patterns) ([]Item, error) {
	pivot, rest := "/", src
	if s.Parents {
		if before, after, ok := strings.Cut(src, "/./"); ok {
			pivot, rest = before, after
		}
	}
	paths, err := root.glob(clean(pivot), clean(rest), ignore)
	if err != nil {
		return nil, err
	}
	wild := hasWildcard(src)
	var items []Item
	for _, p := range paths {
		it, err := s.item(root, clean(pivot), p, ignore)
		if err != nil && !(wild && errors.Is(err, ErrNotFound)) {
			return nil, err
		}
		if err == nil {
			items = append(items, it)
		}
	}
	return items, nil
}

// item looks at one path: pivot joined with p, without wildcards.
func (s Selection) item(root *Dir, pivot, p string, ignore *Patterns) (Item, error) {
	full := path.Join(pivot, p)
	real, err := root.Real(full)
	if err != nil {
		return Item{}, fmt.Errorf("resolving %q: %w", full, err)
	}
	st, err := root.statReal(real)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
		return Item{}, &MissingError{Source: full, Near: root.near(real)}
	}
	if err != nil {
		return Item{}, err
	}
	it := Item{Real: real, Name: path.Base(full), Dir: st.Mode&syscall.S_IFMT == syscall.S_IFDIR, stat: st}
	if s.Parents {
		it.Name = strings.TrimPrefix(p, "/")
		if it.Pivot, err = root.Real(pivot); err != nil {
			return Item{}, err
		}
	}
	if rel := strings.TrimPrefix(real, "/"); rel != "" && ignore.Excludes(rel) && !(it.Dir && ignore.mayReturn(rel)) {
		return Item{}, &MissingError{Source: full, Hidden: true}
	}
	return it, nil
}

func (d *Dir) statReal(real string) (sys.Stat, error) {
	parent, name := path.Split(real)
	dir, err := d.At(parent)
	if err != nil {
		return sys.Stat{}, err
	}
	defer dir.Close()
	if name == "" {
		return sys.StatFd(dir.fd())
	}
	return dir.Stat(name)
}
