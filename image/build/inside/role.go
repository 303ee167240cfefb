package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/moss-sandbox/moss/image/build/task"
	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/sys"
)

// RunRole is the role: one task, one result. It runs as root of the user's namespace with mounts of its own.
func RunRole(inv *role.Invocation) error {
	var m message
	if err := inv.Decode(&m); err != nil {
		return err
	}
	res := carryOut(m, inv.Files)
	return json.NewEncoder(inv.Files[0]).Encode(res)
}

func carryOut(m message, files []*os.File) task.Result {
	t := &trees{}
	defer t.close()
	roots, err := t.open(m, files)
	if err != nil {
		return task.Failed(err)
	}
	res := task.Apply(m.Task, roots)
	if err := t.close(); err != nil && res.Failure == nil {
		return task.Failed(err)
	}
	return res
}

// trees are what is open for a task.
type trees struct{ closers []io.Closer }

func (t *trees) close() error {
	var errs []error
	for i := len(t.closers) - 1; i >= 0; i-- {
		errs = append(errs, t.closers[i].Close())
	}
	t.closers = nil
	return errors.Join(errs...)
}

func (t *trees) open(m message, files []*os.File) (task.Roots, error) {
	r := task.Roots{Out: files[1]}
	root, err := t.stack(m.Task.Root)
	if err != nil {
		return r, err
	}
	r.Root = root
	if r.Owners, err = t.owners(m.Task.Root); err != nil {
		return r, err
	}
	for i, s := range m.Task.Sources {
		var d *tree.Dir
		var own tree.Owners = tree.Kernel{}
		if n := m.Hosts[i]; n > 0 {
			d = tree.FromFile(files[n])
		} else if d, err = t.stack(s); err == nil {
			own, err = t.owners(s)
		}
		if err != nil {
			return r, err
		}
		r.Sources, r.From = append(r.Sources, d), append(r.From, own)
	}
	return r, nil
}

// stack opens a stack's root: an overlay, or the directory itself where there is only one.
func (t *trees) stack(s task.Stack) (*tree.Dir, error) {
	var d *tree.Dir
	if len(s.Lowers) == 0 || len(s.Lowers) == 1 && s.Upper == "" {
		var err error
		if d, err = task.Open(s); err != nil {
			return nil, err
		}
	} else {
		f, err := sys.Overlay(s.Lowers, s.Upper, s.Work)
		if err != nil {
			return nil, err
		}
		d = tree.FromFile(f)
	}
	t.closers = append(t.closers, d)
	return d, nil
}

// owners are the side indexes beside a stack's directories, top first.
func (t *trees) owners(s task.Stack) (tree.Owners, error) {
	dirs := s.Lowers
	if s.Upper != "" {
		dirs = append([]string{s.Upper}, dirs...)
	}
	var notes layer.Stack
	for _, d := range dirs {
		f, err := os.Open(filepath.Dir(d))
		if err != nil {
			return nil, fmt.Errorf("reading owners: %w", err)
		}
		rec := layer.NewRecorder(int(f.Fd()), indexName)
		t.closers = append(t.closers, f, rec)
		notes = append(notes, rec)
	}
	if len(notes) == 0 {
		return tree.Kernel{}, nil
	}
	return task.Recording{Notes: notes}, nil
}

// indexName is the side index of owners beside a tree, as package store keeps it.
const indexName = "owners"
