package task

import (
	"errors"
	"os"
	"path"
	"syscall"

	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Recording are the owners of a tree under the single id, or without the right to make devices: what cannot be set is noted
// in Notes, where the layer writer finds it. It is the same seam as that of unpacking.
type Recording struct{ Notes layer.Owners }

var _ tree.Owners = Recording{}

// Set implements tree.Owners.
func (r Recording) Set(dir *tree.Dir, name string, o tree.Owner, mode uint32) error {
	st, err := dir.Stat(name)
	if err != nil {
		return err
	}
	kind := st.Mode & syscall.S_IFMT
	err = tree.Kernel{}.Set(dir, name, o, mode)
	if err == nil || !cannotOwn(err) {
		return err
	}
	rec := layer.Record{UID: o.UID, GID: o.GID}
	if kind == syscall.S_IFREG && mode&0o6000 != 0 { // set-id of somebody else would be set-id of us
		rec.Mode = kind | mode&0o7777
		mode &^= 0o6000
	}
	if kind != syscall.S_IFLNK {
		if err := sys.ChmodAt(int(dir.File().Fd()), name, mode); err != nil {
			return err
		}
	}
	return r.note(dir, name, kind, rec)
}

func cannotOwn(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EPERM)
}

// note records; regular files and directories are opened, so that the record can lie in an attribute.
func (r Recording) note(dir *tree.Dir, name string, kind uint32, rec layer.Record) error {
	fd := -1
	if kind == syscall.S_IFREG || kind == syscall.S_IFDIR {
		var err error
		if fd, err = sys.OpenAt(int(dir.File().Fd()), name, syscall.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			defer syscall.Close(fd)
		} else {
			fd = -1
		}
	}
	return r.Notes.Record(fd, path.Join(dir.Path(), name), rec)
}

// Device implements tree.Owners: no user namespace may make a device, so an empty file keeps its place.
func (r Recording) Device(dir *tree.Dir, name string, o tree.Owner, mode uint32, dev uint64) error {
	fd, err := sys.OpenAt(int(dir.File().Fd()), name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	major, minor := sys.Device(dev)
	return r.Notes.Record(fd, path.Join(dir.Path(), name), layer.Record{UID: o.UID, GID: o.GID, Mode: mode, Major: major, Minor: minor})
}

// Get implements tree.Owners.
func (r Recording) Get(dir *tree.Dir, name string, st *sys.Stat) (tree.Owner, uint32) {
	own, mode := tree.Kernel{}.Get(dir, name, st)
	fd := -1
	if kind := mode & syscall.S_IFMT; kind == syscall.S_IFREG || kind == syscall.S_IFDIR {
		if n, err := sys.OpenAt(int(dir.File().Fd()), name, syscall.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			fd = n
			defer syscall.Close(fd)
		}
	}
	rec, ok, err := r.Notes.Lookup(fd, path.Join(dir.Path(), name))
	if err != nil || !ok {
		return own, mode
	}
	if rec.UID >= 0 {
		own.UID = rec.UID
	}
	if rec.GID >= 0 {
		own.GID = rec.GID
	}
	if rec.Mode != 0 {
		mode = mode&syscall.S_IFMT | rec.Mode&0o7777
	}
	return own, mode
}
