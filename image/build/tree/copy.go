package tree

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Target says where COPY writes and as whom. It is plain data.
type Target struct {
	Dest  string `json:"dest"`            // absolute; ends in "/" when a directory is meant
	Owner *Owner `json:"owner,omitempty"` // nil keeps the source's
	Chmod string `json:"chmod,omitempty"`
	// Time, when set, is the modification time of the directories that are made on the way.
	Time *time.Time `json:"time,omitempty"`
	// From tells the owners of the source's files; nil is the same as those of the destination.
	From Owners `json:"-"`
}

// NotDirectoryError says that a directory was to be copied over something else, or a file over a directory.
type NotDirectoryError struct {
	Path  string
	IsDir bool
}

// Error is worded like BuildKit's.
func (e *NotDirectoryError) Error() string {
	if e.IsDir {
		return fmt.Sprintf("cannot replace to directory %q with file", e.Path)
	}
	return fmt.Sprintf("cannot copy to non-directory: %q", e.Path)
}

// Copy copies what the selection takes below src into dst. It returns how many files and directories it wrote.
func Copy(dst, src *Dir, s Selection, t Target, owners Owners) (int, error) {
	items, err := s.Items(src)
	if err != nil {
		return 0, err
	}
	return CopyItems(dst, src, s, items, t, owners)
}

// CopyItems is Copy for sources that are already resolved.
func CopyItems(dst, src *Dir, s Selection, items []Item, t Target, owners Owners) (int, error) {
	mode, err := ParseMode(t.Chmod)
	if err != nil {
		return 0, err
	}
	if len(items) == 0 {
		return 0, nil
	}
	if t.From == nil {
		t.From = owners
	}
	c := &copier{dst: dst, t: t, mode: mode, owners: owners, links: map[inode]string{}, buf: make([]byte, 256<<10), parents: s.Parents}
	if err := c.aim(s, items); err != nil {
		return 0, err
	}
	defer c.close()
	for i := range items {
		if err := c.begin(items[i]); err != nil {
			return c.count, err
		}
		if err := s.Walk(src, items[i:i+1], c); err != nil {
			return c.count, err
		}
	}
	return c.count, c.finish()
}

type inode struct{ dev, ino uint64 }

type copier struct {
	dst     *Dir
	t       Target
	mode    Mode
	owners  Owners
	parents bool
	intoDir bool   // files keep their names below dest
	dest    string // real path of what Dest leads to
	name    string // of a single file
	item    Item
	stack   []*Dir // open directories from the destination down
	links   map[inode]string
	late    []lateTime
	made    []string // real paths of directories made for Dest
	buf     []byte
	count   int
}

type lateTime struct {
	path string
	at   time.Time
}

// aim decides whether Dest is a directory and makes what leads to it.
func (c *copier) aim(s Selection, items []Item) error {
	real, err := c.dst.Real(c.t.Dest)
	if err != nil {
		return fmt.Errorf("resolving %q: %w", c.t.Dest, err)
	}
	c.dest = real
	st, err := c.dst.statReal(real)
	isDir := err == nil && st.Mode&syscall.S_IFMT == syscall.S_IFDIR
	c.intoDir = strings.HasSuffix(c.t.Dest, "/") || path.Base(c.t.Dest) == "." || isDir || s.Parents
	if !c.intoDir && (len(s.Sources) > 1 || len(items) > 1) {
		return fmt.Errorf("when using COPY with more than one source file, the destination must be a directory and end with a /: %q", c.t.Dest)
	}
	if err == nil && !isDir && (c.intoDir || items[0].Dir) {
		return &NotDirectoryError{Path: real}
	}
	return nil
}

// begin opens the directory an item goes to.
func (c *copier) begin(it Item) error {
	c.close()
	c.item = it
	dir := c.dest
	if !it.Dir && !c.intoDir {
		dir, c.name = path.Split(c.dest)
	} else if !it.Dir && !c.parents {
		c.name = it.Name
	}
	d, err := c.mkdirAll(dir)
	if err != nil {
		return err
	}
	c.stack = []*Dir{d}
	return nil
}

// mkdirAll opens a directory by its real path and makes what is missing, 0755 and owned by the target's owner.
func (c *copier) mkdirAll(real string) (*Dir, error) {
	d, err := MkdirAll(c.dst, real, c.newOwner(), 0o755, c.owners, &c.made)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (c *copier) newOwner() Owner {
	if c.t.Owner != nil {
		return *c.t.Owner
	}
	return Owner{}
}

// MkdirAll opens a directory of root by its path and makes what is missing with the given owner and mode, noting the paths in
// made. Links that exist are followed inside the tree.
func MkdirAll(root *Dir, p string, o Owner, mode uint32, owners Owners, made *[]string) (*Dir, error) {
	real, err := root.Real(p)
	if err != nil {
		return nil, err
	}
	at, err := root.At("/")
	if err != nil {
		return nil, err
	}
	for _, name := range strings.FieldsFunc(real, func(r rune) bool { return r == '/' }) {
		next, err := at.Sub(name)
		if errors.Is(err, syscall.ENOENT) {
			if next, err = at.mkdir(name, o, mode, owners); err == nil && made != nil {
				*made = append(*made, "/"+next.path)
			}
		}
		if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
			err = &NotDirectoryError{Path: path.Join("/", at.path, name)}
		}
		at.Close()
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

func (d *Dir) mkdir(name string, o Owner, mode uint32, owners Owners) (*Dir, error) {
	fd, err := sys.MkdirAt(d.fd(), name, 0o755)
	if err != nil {
		return nil, d.in(err)
	}
	p := path.Join(d.path, name)
	sub := &Dir{f: os.NewFile(uintptr(fd), p), path: p}
	if err := owners.Set(d, name, o, mode); err != nil {
		sub.Close()
		return nil, err
	}
	return sub, nil
}

func (c *copier) close() {
	for _, d := range c.stack {
		d.Close()
	}
	c.stack = nil
}

// finish sets the times of directories that were written to after they were left.
func (c *copier) finish() error {
	c.close()
	for i := len(c.late) - 1; i >= 0; i-- {
		if err := c.setTime(c.late[i].path, c.late[i].at); err != nil {
			return err
		}
	}
	if c.t.Time == nil {
		return nil
	}
	for i := len(c.made) - 1; i >= 0; i-- {
		if err := c.setTime(c.made[i], *c.t.Time); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) setTime(real string, at time.Time) error {
	d, err := c.dst.At(real)
	if err != nil {
		return err
	}
	defer d.Close()
	return sys.SetModTime(d.fd(), at)
}
