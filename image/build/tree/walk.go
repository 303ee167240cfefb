package tree

import (
	"fmt"
	"path"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// An Entry is one file met by a walk. Dir and Name reach it; they are valid during the visit only.
type Entry struct {
	Dir  *Dir     // the directory it lies in
	Name string   // its name there
	Path string   // where it lies in the tree, without leading slash
	To   string   // where it goes below the destination, "" for a single file or the root of a copied directory
	Stat sys.Stat // of itself, a link is not followed
	Item int      // which item it belongs to
}

// Type returns the S_IFMT part of the mode.
func (e *Entry) Type() uint32 { return e.Stat.Mode & syscall.S_IFMT }

// A Visitor takes the entries of a walk, parents before children.
type Visitor interface {
	Enter(e *Entry) error // everything, directories before their content
	Leave(e *Entry) error // directories, after their content
}

// Walk visits what the selection takes below root, in the order of the sources, each directory by the bytes of its names.
// A directory given as a source is visited with an empty To. With Parents the directories above a source are visited too.
func (s Selection) Walk(root *Dir, items []Item, v Visitor) error {
	ignore, err := NewPatterns(s.Ignore)
	if err != nil {
		return err
	}
	excludes, err := NewPatterns(s.Excludes)
	if err != nil {
		return err
	}
	w := &walker{ignore: ignore, excludes: excludes, v: v}
	for i, it := range items {
		if err := w.item(root, it, i, s.Parents); err != nil {
			return err
		}
	}
	return nil
}

type walker struct {
	ignore, excludes *Patterns
	v                Visitor
	pending          []*Entry // excluded directories that are entered when something in them is not
}

func (w *walker) item(root *Dir, it Item, n int, parents bool) error {
	parent, name := path.Split(it.Real)
	dir, err := root.At(parent)
	if err != nil {
		return err
	}
	defer dir.Close()
	if name == "" {
		name = "."
	}
	e := &Entry{Dir: dir, Name: name, Path: strings.TrimPrefix(it.Real, "/"), Stat: it.stat, Item: n}
	if parents {
		e.To = it.Name
		if err := w.above(root, it, n); err != nil {
			return err
		}
	}
	if !it.Dir {
		if w.excludes.Excludes(path.Base(it.Name)) || w.excludes.Excludes(e.Path) {
			return nil
		}
		return w.v.Enter(e)
	}
	ignored, err := w.judgeAll(e.Path)
	if err != nil {
		return err
	}
	if ignored.excluded {
		return w.hidden(e, "", ignored, verdict{}, 0)
	}
	return w.directory(e, "", ignored, verdict{}, 0)
}

// judgeAll judges a path component by component, as if the walk had begun at the root.
func (w *walker) judgeAll(rel string) (v verdict, err error) {
	for i := range len(rel) {
		if rel[i] == '/' {
			if v, err = w.ignore.judge(rel[:i], v); err != nil {
				return v, err
			}
		}
	}
	if rel == "" {
		return v, nil
	}
	return w.ignore.judge(rel, v)
}

// above visits the directories between the pivot and an item.
func (w *walker) above(root *Dir, it Item, n int) error {
	var up []string
	for p := path.Dir(it.Name); p != "." && p != "/"; p = path.Dir(p) {
		up = append([]string{p}, up...)
	}
	for _, p := range up {
		dir, name, err := root.Find(path.Join(it.Pivot, p))
		if err != nil {
			return err
		}
		st, err := dir.Stat(name)
		if err == nil {
			e := &Entry{Dir: dir, Name: name, Path: strings.TrimPrefix(path.Join(it.Pivot, p), "/"), To: p, Stat: st, Item: n}
			if err = w.v.Enter(e); err == nil {
				err = w.v.Leave(e)
			}
		}
		dir.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// directory visits a directory and what is in it. rel is its path below the item.
func (w *walker) directory(e *Entry, rel string, ignored, excluded verdict, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%q: more than %d directories deep", e.Path, maxDepth)
	}
	if err := w.enter(e); err != nil {
		return err
	}
	dir, err := e.Dir.Sub(e.Name)
	if err != nil {
		return err
	}
	defer dir.Close()
	dir.path = e.Path
	names, err := dir.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := w.child(dir, e, name, rel, ignored, excluded, depth); err != nil {
			return err
		}
	}
	return w.v.Leave(e)
}

func (w *walker) child(dir *Dir, parent *Entry, name, rel string, ignored, excluded verdict, depth int) error {
	st, err := dir.Stat(name)
	if err != nil {
		return err
	}
	e := &Entry{Dir: dir, Name: name, Path: path.Join(parent.Path, name), To: path.Join(parent.To, name), Stat: st, Item: parent.Item}
	rel = path.Join(rel, name)
	ig, err := w.ignore.judge(e.Path, ignored)
	if err != nil {
		return err
	}
	ex, err := w.excludes.judge(rel, excluded)
	if err != nil {
		return err
	}
	if e.Type() != syscall.S_IFDIR {
		if ig.excluded || ex.excluded {
			return nil
		}
		return w.enter(e)
	}
	if ig.excluded || ex.excluded {
		if ig.excluded && !w.ignore.mayReturn(e.Path) || ex.excluded && !w.excludes.mayReturn(rel) {
			return nil
		}
		return w.hidden(e, rel, ig, ex, depth+1)
	}
	return w.directory(e, rel, ig, ex, depth+1)
}

// hidden looks into an excluded directory for what is taken back; the directory itself is visited only then.
func (w *walker) hidden(e *Entry, rel string, ignored, excluded verdict, depth int) error {
	dir, err := e.Dir.Sub(e.Name)
	if err != nil {
		return err
	}
	defer dir.Close()
	dir.path = e.Path
	names, err := dir.Names()
	if err != nil {
		return err
	}
	before := len(w.pending)
	w.pending = append(w.pending, e)
	for _, name := range names {
		if err := w.child(dir, e, name, rel, ignored, excluded, depth); err != nil {
			return err
		}
	}
	if len(w.pending) > before { // nothing in it was visited
		w.pending = w.pending[:before]
		return nil
	}
	return w.v.Leave(e)
}

// enter visits an entry after the excluded directories above it.
func (w *walker) enter(e *Entry) error {
	for _, p := range w.pending {
		if err := w.v.Enter(p); err != nil {
			return err
		}
	}
	w.pending = w.pending[:0]
	return w.v.Enter(e)
}
