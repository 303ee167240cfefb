package tree

import (
	"errors"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Enter implements Visitor.
func (c *copier) Enter(e *Entry) error {
	dir, name, err := c.place(e)
	if err != nil {
		return err
	}
	if name == "" { // the root of a copied directory keeps what the destination has
		return nil
	}
	c.count++
	own, mode := c.attributes(e)
	switch e.Type() {
	case syscall.S_IFDIR:
		return c.directory(dir, name, own, mode)
	case syscall.S_IFREG:
		return c.regular(e, dir, name, own, mode)
	case syscall.S_IFLNK:
		return c.symlink(e, dir, name, own)
	case syscall.S_IFSOCK:
		c.count--
		return nil // of a process, no content
	}
	return c.special(e, dir, name, own, mode)
}

// place returns the open directory and the name that an entry goes to.
func (c *copier) place(e *Entry) (*Dir, string, error) {
	if e.To == "" {
		if c.item.Dir {
			return c.stack[0], "", nil
		}
		return c.stack[0], c.name, nil
	}
	parts := strings.Split(e.To, "/")
	for len(c.stack) > len(parts) { // left without a Leave: the directories above a --parents item
		c.pop()
	}
	for len(c.stack) < len(parts) {
		d, err := c.top().Sub(parts[len(c.stack)-1])
		if err != nil {
			return nil, "", err
		}
		c.stack = append(c.stack, d)
	}
	return c.top(), parts[len(parts)-1], nil
}

func (c *copier) top() *Dir { return c.stack[len(c.stack)-1] }

func (c *copier) pop() {
	c.top().Close()
	c.stack = c.stack[:len(c.stack)-1]
}

func (c *copier) attributes(e *Entry) (Owner, uint32) {
	own, mode := c.t.From.Get(e.Dir, e.Name, &e.Stat)
	if c.t.Owner != nil {
		own = *c.t.Owner
	}
	return own, c.mode.Apply(mode, e.Type() == syscall.S_IFDIR)
}

// Leave implements Visitor: a directory's time comes last, since writing into it changes it.
func (c *copier) Leave(e *Entry) error {
	if e.To == "" {
		return nil
	}
	depth := strings.Count(e.To, "/") + 2
	for len(c.stack) > depth {
		c.pop()
	}
	if len(c.stack) < depth {
		return nil
	}
	err := sys.SetModTime(c.top().fd(), modTime(&e.Stat))
	if c.parents {
		c.late = append(c.late, lateTime{path.Join("/", c.top().path), modTime(&e.Stat)})
	}
	c.pop()
	return err
}

func modTime(st *sys.Stat) time.Time { return time.Unix(st.Mtim.Sec, st.Mtim.Nsec) }

// directory makes or enters a directory; one that exists gets the source's owner and mode, as in BuildKit.
func (c *copier) directory(dir *Dir, name string, own Owner, mode uint32) error {
	sub, err := dir.Sub(name)
	switch {
	case errors.Is(err, syscall.ENOENT):
		if sub, err = dir.mkdir(name, own, mode, c.owners); err != nil {
			return err
		}
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP):
		return &NotDirectoryError{Path: path.Join("/", dir.path, name)}
	case err != nil:
		return err
	default:
		if err := c.owners.Set(dir, name, own, mode); err != nil {
			sub.Close()
			return err
		}
	}
	c.stack = append(c.stack, sub)
	return nil
}

// clear removes what stands where a file is to be made; never a directory.
func (c *copier) clear(dir *Dir, name string) error {
	st, err := dir.Stat(name)
	if err != nil {
		return nil
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		return &NotDirectoryError{Path: path.Join("/", dir.path, name), IsDir: true}
	}
	return dir.in(sys.UnlinkAt(dir.fd(), name, false))
}

func (c *copier) regular(e *Entry, dir *Dir, name string, own Owner, mode uint32) error {
	if linked, err := c.hardlink(e, dir, name); linked || err != nil {
		return err
	}
	src, err := e.Dir.Regular(e.Name)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := c.create(dir, name)
	if err != nil {
		return err
	}
	defer dst.Close()
	if err := copyContent(dst, src, e.Stat.Size, c.buf[:small+1]); err != nil {
		return &os.PathError{Op: "copy", Path: e.Path, Err: err}
	}
	if err := c.owners.Set(dir, name, own, mode); err != nil {
		return err
	}
	if err := copyXattrs(dst, src); err != nil {
		return err
	}
	if err := sys.SetModTime(int(dst.Fd()), modTime(&e.Stat)); err != nil {
		return err
	}
	c.remember(e, dir, name)
	return dst.Close()
}

// create makes a new file; what stood there is removed only when something did, which is rare.
func (c *copier) create(dir *Dir, name string) (*os.File, error) {
	const flags = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL
	fd, err := sys.OpenAt(dir.fd(), name, flags, 0o600)
	if errors.Is(err, syscall.EEXIST) {
		if err = c.clear(dir, name); err == nil {
			fd, err = sys.OpenAt(dir.fd(), name, flags, 0o600)
		}
	}
	if err != nil {
		return nil, dir.in(err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// hardlink makes another name of a file that this copy has already made.
func (c *copier) hardlink(e *Entry, dir *Dir, name string) (bool, error) {
	if e.Stat.Nlink < 2 {
		return false, nil
	}
	first, ok := c.links[inode{e.Stat.Dev, e.Stat.Ino}]
	if !ok {
		return false, nil
	}
	from, err := c.dst.At(path.Dir(first))
	if err != nil {
		return false, err
	}
	defer from.Close()
	if path.Join("/", dir.path, name) == first {
		return true, nil
	}
	if err := c.clear(dir, name); err != nil {
		return false, err
	}
	return true, sys.LinkAt(from.fd(), path.Base(first), dir.fd(), name)
}

func (c *copier) remember(e *Entry, dir *Dir, name string) {
	if e.Stat.Nlink > 1 {
		c.links[inode{e.Stat.Dev, e.Stat.Ino}] = path.Join("/", dir.path, name)
	}
}

func (c *copier) symlink(e *Entry, dir *Dir, name string, own Owner) error {
	target, err := sys.ReadlinkAt(e.Dir.fd(), e.Name)
	if err != nil {
		return err
	}
	if err := c.clear(dir, name); err != nil {
		return err
	}
	if err := sys.SymlinkAt(target, dir.fd(), name); err != nil {
		return err
	}
	if err := c.owners.Set(dir, name, own, 0); err != nil {
		return err
	}
	return sys.SetModTimeAt(dir.fd(), name, modTime(&e.Stat))
}

// special makes a FIFO or a device.
func (c *copier) special(e *Entry, dir *Dir, name string, own Owner, mode uint32) error {
	if err := c.clear(dir, name); err != nil {
		return err
	}
	if e.Type() != syscall.S_IFIFO {
		return c.owners.Device(dir, name, own, mode, e.Stat.Rdev)
	}
	if err := sys.MknodAt(dir.fd(), name, mode&^0o7777|0o600, 0); err != nil {
		return err
	}
	if err := c.owners.Set(dir, name, own, mode); err != nil {
		return err
	}
	return sys.SetModTimeAt(dir.fd(), name, modTime(&e.Stat))
}
