package tree

import (
	"errors"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// WriteFile makes a file with a content. dest ends in "/" or is a directory: the file is name below it; else it is dest.
// With at, the file and the directories made on the way have that time.
func WriteFile(root *Dir, dest, name string, data []byte, own Owner, mode uint32, at *time.Time, owners Owners) error {
	c := &copier{dst: root, owners: owners, t: Target{Dest: dest, Owner: &own, Time: at}}
	real, err := root.Real(dest)
	if err != nil {
		return err
	}
	st, err := root.statReal(real)
	isDir := err == nil && st.Mode&syscall.S_IFMT == syscall.S_IFDIR
	parent := real
	if !isDir && !strings.HasSuffix(dest, "/") {
		parent, name = path.Split(real)
	}
	dir, err := c.mkdirAll(parent)
	if err != nil {
		return err
	}
	defer dir.Close()
	f, err := c.create(dir, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := owners.Set(dir, name, own, mode); err != nil {
		return err
	}
	if at != nil {
		if err := sys.SetModTime(int(f.Fd()), *at); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return c.finish()
}

// SetTimes sets the modification time of directories, given by their paths, last first.
func SetTimes(root *Dir, dirs []string, at time.Time) error {
	c := &copier{dst: root}
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := c.setTime(dirs[i], at); err != nil {
			return err
		}
	}
	return nil
}

// HasPlain tells whether p exists below d, no link followed on the way.
func (d *Dir) HasPlain(p string) bool {
	dir, name, err := d.plain(p)
	if err != nil {
		return false
	}
	defer dir.Close()
	_, err = dir.Stat(name)
	return err == nil
}

// Link returns the target of an entry that is a symbolic link.
func (e *Entry) Link() (string, error) { return sys.ReadlinkAt(e.Dir.fd(), e.Name) }

// MayHave is HasPlain for who may not see everything: true as well where a directory on the way cannot be opened.
func (d *Dir) MayHave(p string) bool {
	dir, name, err := d.plain(p)
	if errors.Is(err, syscall.EACCES) {
		return true
	}
	if err != nil {
		return false
	}
	defer dir.Close()
	_, err = dir.Stat(name)
	return err == nil || errors.Is(err, syscall.EACCES)
}
