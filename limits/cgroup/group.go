package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Group is the cgroup of one container.
type Group struct {
	Dir string `json:"dir"` // <tree>/<id>; recorded in the container's state
}

// Names of the two leaves.
const (
	holderDir    = "holder"
	containerDir = "c"
)

// Create makes the group of a container and sets its limits; on an error nothing is left. An empty group of an earlier life
// of the same container is taken over; a group with processes in it is fs.ErrExist.
func (t Tree) Create(id string, values []limits.Value) (Group, error) {
	g := Group{Dir: filepath.Join(t.Dir, id)}
	err := g.make()
	if errors.Is(err, fs.ErrExist) {
		if populated, perr := g.Populated(); perr != nil || populated {
			return Group{}, errors.Join(err, perr)
		}
		_ = g.removeTree()
		err = g.make()
	}
	if err == nil {
		err = g.fill(t, values)
	}
	if err != nil {
		_ = g.removeTree()
		return Group{}, fmt.Errorf("making cgroup of %q: %w", id, err)
	}
	return g, nil
}

func (g Group) make() error { return os.Mkdir(g.Dir, 0o755) }

// fill makes the leaves before the controllers are handed on and the limits before anybody can be born here.
func (g Group) fill(t Tree, values []limits.Value) error {
	for _, leaf := range []string{g.holder(), g.Container()} {
		if err := os.Mkdir(leaf, 0o755); err != nil {
			return err
		}
	}
	if err := g.hand(t.Owner); err != nil {
		return err
	}
	if len(t.Controllers) > 0 {
		if err := write(g.Dir, "cgroup.subtree_control", "+"+strings.Join(t.Controllers, " +")); err != nil {
			return err
		}
	}
	return g.Apply(values)
}

// hand gives the right to clone from one leaf into the other to the ids a container's birth runs under.
func (g Group) hand(owner Owner) error {
	if owner == (Owner{}) {
		return nil
	}
	for _, dir := range []string{filepath.Dir(g.Dir), g.Dir, g.holder(), g.Container()} { // the common ancestor too
		if err := os.Chown(filepath.Join(dir, "cgroup.procs"), owner.UID, owner.GID); err != nil {
			return err
		}
	}
	return nil
}

func (g Group) holder() string { return filepath.Join(g.Dir, holderDir) }

// Container is the directory of the container's leaf.
func (g Group) Container() string { return filepath.Join(g.Dir, containerDir) }

// Apply sets values on the binding directory and on the one the container sees. A value that was refused is an error which
// names file and value; the values before it stay.
func (g Group) Apply(values []limits.Value) error {
	if err := writeAll(g.Dir, values); err != nil {
		return err
	}
	return writeAll(g.Container(), values)
}

// Update is Apply on a running container. Where a lower limit is to go below a neighbour (memory.max below memory.low) the
// kernel accepts every order in version 2.
func (g Group) Update(values []limits.Value) error { return g.Apply(values) }

// HolderFD opens the holders' leaf for clone3(2) CLONE_INTO_CGROUP; the caller closes it.
func (g Group) HolderFD() (int, error) { return openPath(g.holder()) }

// LeafFD opens the container's leaf for clone3(2) CLONE_INTO_CGROUP; the caller closes it. The clone fails with EAGAIN when
// pids.max is reached, EBUSY when something inside has made children with controllers there, EACCES when the cloning
// process is outside of the tree.
func (g Group) LeafFD() (int, error) { return openPath(g.Container()) }

func openPath(dir string) (int, error) {
	fd, err := syscall.Open(dir, sys.OPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return fd, nil
}
