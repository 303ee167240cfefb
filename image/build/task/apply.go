package task

import (
	"errors"
	"fmt"
	"path"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/image/build/tree"
)

// Apply carries out a task on opened trees. It never returns an error beside the result: Result.Failure has it, fit to be
// sent to another process. Runs in the worker inside the user namespace, or anywhere for trees of the caller.
func Apply(t Task, r Roots) Result {
	defer syscall.Umask(syscall.Umask(0))
	var res Result
	for _, a := range t.Actions {
		n, err := apply(a, r, &res)
		res.Counts = append(res.Counts, n)
		if err != nil {
			res.Failure = failure(err)
			break
		}
	}
	return res
}

func apply(a Action, r Roots, res *Result) (int, error) {
	switch {
	case a.Copy != nil:
		return ApplyCopy(*a.Copy, r)
	case a.Unpack != nil:
		return applyUnpack(*a.Unpack, r)
	case a.Write != nil:
		return applyWrite(*a.Write, r)
	case a.Mkdir != nil:
		return applyMkdir(*a.Mkdir, r)
	case a.Sum != nil:
		return 0, applySum(*a.Sum, r, res)
	case a.Prune != nil:
		return 0, applyPrune(*a.Prune, r)
	case a.Export != nil:
		return 0, applyExport(*a.Export, r)
	}
	return 0, errors.New("internal error: empty action")
}

// source returns an opened source.
func (r Roots) source(i int) (*tree.Dir, error) {
	if i < 0 || i >= len(r.Sources) {
		return nil, fmt.Errorf("internal error: source %d of %d", i, len(r.Sources))
	}
	return r.Sources[i], nil
}

// ownersOf tells the owners of a source's files.
func (r Roots) ownersOf(i int) tree.Owners {
	if i < len(r.From) && r.From[i] != nil {
		return r.From[i]
	}
	return r.Owners
}

// owner resolves whom files belong to; nil keeps the source's owners.
func (r Roots) owner(w Who) (*tree.Owner, error) {
	if w.Chown == "" {
		if w.Keep {
			return nil, nil
		}
		return &tree.Owner{}, nil
	}
	users := r.Root
	if w.Users != nil {
		var err error
		if users, err = r.source(*w.Users); err != nil {
			return nil, err
		}
	}
	o, err := tree.LookupOwner(users, w.Chown)
	if err != nil {
		return nil, fmt.Errorf("invalid chown %q: %w", w.Chown, err)
	}
	return &o, nil
}

// ApplyCopy carries out COPY; it returns how many files it wrote.
func ApplyCopy(c Copy, r Roots) (int, error) {
	src, err := r.source(c.Source)
	if err != nil {
		return 0, err
	}
	own, err := r.owner(c.Who)
	if err != nil {
		return 0, err
	}
	return tree.Copy(r.Root, src, c.Select, tree.Target{Dest: c.Dest, Owner: own, Chmod: c.Chmod, Time: c.Time, From: r.ownersOf(c.Source)}, r.Owners)
}

func applyUnpack(u Unpack, r Roots) (int, error) {
	src, err := r.source(u.Source)
	if err != nil {
		return 0, err
	}
	keep := u.Who
	keep.Keep = true
	own, err := r.owner(keep)
	if err != nil {
		return 0, err
	}
	dir, name, err := src.Find(u.Path)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	f, err := dir.Regular(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	plain, err := tree.Decompress(f)
	if err != nil {
		return 0, err
	}
	defer plain.Close()
	packed := func() int64 { n, _ := f.Seek(0, 1); return n }
	return tree.Unpack(r.Root, plain, tree.Unpacking{Dest: u.Dest, Owner: own, Chmod: u.Chmod, Limits: u.Limits}, r.Owners, packed)
}

// applyWrite goes through a source of its own in memory: a directory that holds the one file.
func applyWrite(w Write, r Roots) (int, error) {
	own, err := r.owner(w.Who)
	if err != nil {
		return 0, err
	}
	if w.Name != path.Base(w.Name) || w.Name == "." || w.Name == ".." {
		return 0, fmt.Errorf("here-document %q: its name cannot be a path", w.Name)
	}
	mode, err := tree.ParseMode(w.Chmod)
	if err != nil {
		return 0, err
	}
	return 1, tree.WriteFile(r.Root, w.Dest, w.Name, []byte(w.Data), *own, mode.Apply(0o644, false), w.Time, r.Owners)
}

func applyMkdir(m Mkdir, r Roots) (int, error) {
	own, err := r.owner(m.Who)
	if err != nil {
		return 0, err
	}
	var made []string
	d, err := tree.MkdirAll(r.Root, m.Path, *own, m.Mode, r.Owners, &made)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	if m.Time != nil {
		err = tree.SetTimes(r.Root, made, *m.Time)
	}
	return len(made), err
}

func applySum(s Sum, r Roots, res *Result) error {
	src, err := r.source(s.Source)
	if err != nil {
		return err
	}
	sum, err := tree.Sum(src, s.Select, nil, r.ownersOf(s.Source))
	if err == nil {
		res.Sums = append(res.Sums, sum)
	}
	return err
}

func applyPrune(p Prune, r Roots) error {
	inLowers := func(name string) bool {
		for _, l := range r.Sources {
			if l.HasPlain(name) {
				return true
			}
		}
		return false
	}
	for _, name := range p.Paths {
		if err := r.Root.RemoveEmpty(name, inLowers); err != nil {
			return err
		}
	}
	return nil
}

// A Failure is an error on its way between processes.
type Failure struct {
	Message  string   `json:"message"`
	Hint     []string `json:"hints,omitempty"`
	NotFound bool     `json:"notFound,omitempty"`
	Space    bool     `json:"space,omitempty"` // no space left
}

func failure(err error) *Failure {
	f := &Failure{Message: err.Error(), NotFound: errors.Is(err, tree.ErrNotFound), Space: errors.Is(err, syscall.ENOSPC)}
	var hinted interface{ Hints() []string }
	if errors.As(err, &hinted) {
		f.Hint = hinted.Hints()
	}
	return f
}

func (f *Failure) Error() string { return f.Message }

// Hints returns what the worker's error suggested.
func (f *Failure) Hints() []string { return f.Hint }

// Is makes errors.Is find tree.ErrNotFound and ENOSPC behind a failure.
func (f *Failure) Is(target error) bool {
	return f.NotFound && target == tree.ErrNotFound || f.Space && target == syscall.ENOSPC
}

// Open opens the tree of a stack that is a single directory of the caller: a context, an upper without lowers.
func Open(s Stack) (*tree.Dir, error) {
	switch {
	case len(s.Lowers) == 0 && s.Upper != "":
		return tree.Open(s.Upper)
	case len(s.Lowers) == 1 && s.Upper == "":
		return tree.Open(s.Lowers[0])
	}
	return nil, fmt.Errorf("internal error: a stack of %d layers needs a mount", len(s.Lowers))
}

// earlier clamps a time.
func earlier(at time.Time, limit *time.Time) time.Time {
	if limit != nil && at.After(*limit) {
		return *limit
	}
	return at
}

// Failed is the result of a task that could not begin.
func Failed(err error) Result { return Result{Failure: failure(err)} }
