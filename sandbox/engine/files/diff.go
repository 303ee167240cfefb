package files

import (
	"context"
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A Change is one path that a container has made, changed or removed.
type Change struct {
	Kind Kind   `json:"kind"`
	Path string `json:"path"`
}

// A Kind is Docker's letter for a change.
type Kind string

// The kinds of changes.
const (
	Changed Kind = "C"
	Added   Kind = "A"
	Deleted Kind = "D"
)

// Diff lists what a container has changed, by path. It may run meanwhile.
func Diff(ctx context.Context, e *engine.Engine, c *sandbox.Snapshot) ([]Change, error) {
	q := layers(e, c)
	q.Op = opDiff
	a, err := ask(ctx, e, q, nil, nil)
	if err != nil {
		return nil, err
	}
	return a.Changes, nil
}

// layers describes a container's root by its layers.
func layers(e *engine.Engine, c *sandbox.Snapshot) request {
	q := request{Kind: c.Spec.Root.Kind, Mnt: e.Dirs.Mnt()}
	for _, t := range c.Spec.Root.Trees {
		t.Upper, t.Work = c.Path(t.Upper), c.Path(t.Work)
		q.Trees = append(q.Trees, t)
	}
	return q
}

func (q *request) diff() (out []Change, err error) {
	places := Places()
	for _, t := range q.Trees {
		upper, err := tree.Open(t.Upper)
		if err != nil {
			return nil, err
		}
		lower, err := lowers(t.Lower)
		if err != nil {
			upper.Close()
			return nil, err
		}
		d := &differ{whole: q.Kind == spec.Copy, places: places}
		_, err = d.dir(upper, lower, t.Target)
		upper.Close()
		lower.Close()
		if err != nil {
			return nil, err
		}
		out = append(out, d.found...)
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// lowers opens what lies below the upper directory: an overlay needs two layers at least.
func lowers(dirs []string) (*tree.Dir, error) {
	if len(dirs) == 1 {
		return tree.Open(dirs[0])
	}
	f, err := sys.Overlay(dirs, "", "")
	if err != nil {
		return nil, err
	}
	return tree.FromFile(f), nil
}

// Places are the paths at which something of moss is mounted in every container. What lies there in the upper directory was
// made to mount on, and is no change; the places of volumes are, as with Docker.
func Places() []string {
	return []string{"/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
}

// differ compares an upper directory with what lies below. whole: the upper directory is a copy of everything.
type differ struct {
	whole  bool
	places []string
	found  []Change
}

// dir compares the content of a directory; lower is nil where there was none. It tells whether anything is different.
func (d *differ) dir(upper, lower *tree.Dir, at string) (bool, error) {
	names, err := upper.Names()
	if err != nil {
		return false, err
	}
	before := len(d.found)
	for _, n := range names {
		if err := d.entry(upper, lower, n, path.Join(at, n)); err != nil {
			return false, err
		}
	}
	if lower != nil && (d.whole || isOpaque(upper)) {
		if err := d.gone(names, lower, at); err != nil {
			return false, err
		}
	}
	return len(d.found) > before, nil
}

// gone finds what the lower directory has and the upper one has not.
func (d *differ) gone(have []string, lower *tree.Dir, at string) error {
	names, err := lower.Names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if !slices.Contains(have, n) {
			d.found = append(d.found, Change{Deleted, path.Join(at, n)})
		}
	}
	return nil
}

func isOpaque(d *tree.Dir) bool {
	b := make([]byte, 1)
	n, err := sys.Fgetxattr(sys.FD(d.File()), "user.overlay.opaque", b)
	return err == nil && n == 1 && b[0] == 'y'
}

func (d *differ) entry(upper, lower *tree.Dir, name, at string) error {
	st, err := upper.Stat(name)
	if errors.Is(err, os.ErrNotExist) { // removed meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	var old *sys.Stat
	if lower != nil {
		if o, err := lower.Stat(name); err == nil {
			old = &o
		}
	}
	switch {
	case st.Mode&syscall.S_IFMT == syscall.S_IFCHR && st.Rdev == 0:
		if old != nil {
			d.found = append(d.found, Change{Deleted, at})
		}
	case old == nil && slices.Contains(d.places, at):
	case st.Mode&syscall.S_IFMT == syscall.S_IFDIR:
		return d.directory(upper, lower, name, at, &st, old)
	case old == nil:
		d.found = append(d.found, Change{Added, at})
	case !d.whole || !same(&st, old):
		d.found = append(d.found, Change{Changed, at})
	}
	return nil
}

func same(a, b *sys.Stat) bool {
	return a.Mode == b.Mode && a.Uid == b.Uid && a.Gid == b.Gid && a.Mtim == b.Mtim && (a.Size == b.Size || a.Mode&syscall.S_IFMT == syscall.S_IFDIR)
}

// directory reports a directory if it is new, if it is different itself, or if something in it is. One that holds nothing
// but places to mount on was made with them.
func (d *differ) directory(upper, lower *tree.Dir, name, at string, st, old *sys.Stat) error {
	sub, err := upper.Sub(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	var below *tree.Dir
	if old != nil && old.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		if below, err = lower.Sub(name); err != nil {
			return err
		}
		defer below.Close()
	}
	own := len(d.found)
	d.found = append(d.found, Change{Changed, at})
	if below == nil {
		d.found[own].Kind = Added
		if old != nil {
			d.found[own].Kind = Changed
		}
	}
	differs, err := d.dir(sub, below, at)
	if err != nil {
		return err
	}
	keep := differs || below != nil && !same(st, old) || below == nil && !d.forPlaces(at)
	if below != nil && !differs && d.forPlaces(at) {
		keep = false // its time is that of making the places
	}
	if !keep {
		d.found = slices.Delete(d.found, own, own+1)
	}
	return nil
}

// forPlaces tells whether a place to mount on lies below a directory.
func (d *differ) forPlaces(at string) bool {
	return slices.ContainsFunc(d.places, func(p string) bool { return strings.HasPrefix(p, at+"/") })
}
