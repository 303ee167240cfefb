package files

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/sys"
)

// locate resolves a path inside the root: the directory that holds it and its name there, "." for the root itself. A link
// at its end is followed only if that is asked for.
func locate(root *os.File, p string, follow bool) (*tree.Dir, string, error) {
	fd, err := syscall.Dup(sys.FD(root))
	if err != nil {
		return nil, "", err
	}
	syscall.CloseOnExec(fd)
	top := tree.FromFile(os.NewFile(uintptr(fd), "/"))
	defer top.Close()
	if follow || strings.HasSuffix(p, "/") || path.Base(p) == "." || path.Base(p) == ".." {
		d, name, err := top.Find(p)
		return d, name, missing(err, p)
	}
	clean := path.Clean("/" + p)
	if clean == "/" {
		d, err := top.At("/")
		return d, ".", err
	}
	d, err := top.At(path.Dir(clean))
	if err != nil {
		return nil, "", missing(err, p)
	}
	if _, err := d.Stat(path.Base(clean)); err != nil {
		d.Close()
		return nil, "", missing(err, p)
	}
	return d, path.Base(clean), nil
}

// A missingError says that a path is not in the container.
type missingError struct{ path string }

func (e *missingError) Error() string        { return "Could not find the file " + e.path }
func (e *missingError) Is(target error) bool { return target == os.ErrNotExist }

func missing(err error, p string) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return &missingError{p}
	}
	return err
}

// stat describes a path.
func stat(root *os.File, p string, follow bool) (*Stat, error) {
	d, name, err := locate(root, p, follow)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	st, err := d.Stat(name)
	if err != nil {
		return nil, err
	}
	out := &Stat{Name: name, Mode: fileMode(st.Mode), Size: st.Size, ModTime: time.Unix(st.Mtim.Unix())}
	if st.Mode&syscall.S_IFMT == syscall.S_IFLNK {
		out.Link, err = sys.ReadlinkAt(sys.FD(d.File()), name)
	}
	return out, err
}

func fileMode(m uint32) os.FileMode {
	out := os.FileMode(m & 0o777)
	switch m & syscall.S_IFMT {
	case syscall.S_IFDIR:
		out |= os.ModeDir
	case syscall.S_IFLNK:
		out |= os.ModeSymlink
	case syscall.S_IFIFO:
		out |= os.ModeNamedPipe
	case syscall.S_IFSOCK:
		out |= os.ModeSocket
	case syscall.S_IFCHR:
		out |= os.ModeDevice | os.ModeCharDevice
	case syscall.S_IFBLK:
		out |= os.ModeDevice
	}
	return out
}

// archive writes a path as a tar stream. The first entry is the path itself, under its last part's name; the root and what
// ends in "/." have their content alone, as with Docker.
func archive(root *os.File, p string, follow bool, w io.Writer) error {
	d, name, err := locate(root, p, follow)
	if err != nil {
		return err
	}
	defer d.Close()
	a := &archiver{tw: tar.NewWriter(w), seen: map[inode]string{}, owners: layer.NewRecorder(-1, "")}
	switch {
	case name == ".":
		err = a.content(d, "")
	case path.Base(p) == "." || strings.HasSuffix(p, "/."):
		err = a.contentOf(d, name)
	default:
		err = a.entry(d, name, name)
	}
	if err != nil {
		return err
	}
	return a.tw.Close()
}

type inode struct{ dev, ino uint64 }

type archiver struct {
	tw     *tar.Writer
	seen   map[inode]string
	owners layer.Owners
	ids    *userns.Map // of files outside of the namespace; nil inside of it
}

func (a *archiver) contentOf(d *tree.Dir, name string) error {
	sub, err := d.Sub(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	return a.content(sub, "")
}

func (a *archiver) content(d *tree.Dir, at string) error {
	names, err := d.Names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := a.entry(d, n, path.Join(at, n)); err != nil && !errors.Is(err, os.ErrNotExist) { // removed meanwhile
			return err
		}
	}
	return nil
}

func (a *archiver) entry(d *tree.Dir, name, as string) error {
	st, err := d.Stat(name)
	if err != nil {
		return err
	}
	h := &tar.Header{
		Name: as, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid), Format: tar.FormatPAX,
		ModTime: time.Unix(st.Mtim.Unix()),
	}
	if a.ids != nil {
		h.Uid, h.Gid = inside(a.ids.UID, st.Uid), inside(a.ids.GID, st.Gid)
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		return a.directory(d, name, h)
	case syscall.S_IFREG:
		return a.regular(d, name, h, &st)
	case syscall.S_IFLNK:
		if h.Linkname, err = sys.ReadlinkAt(sys.FD(d.File()), name); err != nil {
			return err
		}
		h.Typeflag = tar.TypeSymlink
	case syscall.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case syscall.S_IFCHR, syscall.S_IFBLK:
		if h.Typeflag = tar.TypeChar; st.Mode&syscall.S_IFMT == syscall.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		major, minor := sys.Device(st.Rdev)
		h.Devmajor, h.Devminor = int64(major), int64(minor)
	default:
		return nil // a socket is nothing without its process
	}
	return a.tw.WriteHeader(h)
}

// inside is an id of this machine as the container has it, 0 where it has none.
func inside(extents []userns.Extent, id uint32) int {
	for _, e := range extents {
		if id >= e.Outside && id-e.Outside < e.Size {
			return int(e.Inside + id - e.Outside)
		}
	}
	return 0
}

func (a *archiver) directory(d *tree.Dir, name string, h *tar.Header) error {
	sub, err := d.Sub(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	at := h.Name
	h.Typeflag, h.Name = tar.TypeDir, at+"/"
	if err := a.attributes(sub.File(), h); err != nil {
		return err
	}
	if err := a.tw.WriteHeader(h); err != nil {
		return err
	}
	return a.content(sub, at)
}

func (a *archiver) regular(d *tree.Dir, name string, h *tar.Header, st *sys.Stat) error {
	if st.Nlink > 1 {
		key := inode{st.Dev, st.Ino}
		if first, ok := a.seen[key]; ok {
			h.Typeflag, h.Linkname = tar.TypeLink, first
			return a.tw.WriteHeader(h)
		}
		a.seen[key] = h.Name
	}
	f, err := d.Regular(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h.Typeflag, h.Size = tar.TypeReg, st.Size
	if err := a.attributes(f, h); err != nil {
		return err
	}
	if err := a.tw.WriteHeader(h); err != nil {
		return err
	}
	return copyExactly(a.tw, f, st.Size)
}

// copyExactly copies size bytes of a file that may change meanwhile: one that has become shorter is filled with zeros.
func copyExactly(w io.Writer, f *os.File, size int64) error {
	n, err := io.Copy(w, io.LimitReader(f, size))
	if err != nil || n == size {
		return err
	}
	_, err = io.CopyN(w, zeros{}, size-n)
	return err
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// attributes adds extended attributes, and the owner that the tree could not be given.
func (a *archiver) attributes(f *os.File, h *tar.Header) error {
	if r, ok, err := a.owners.Lookup(sys.FD(f), h.Name); err == nil && ok {
		if r.UID >= 0 {
			h.Uid = r.UID
		}
		if r.GID >= 0 {
			h.Gid = r.GID
		}
		if r.Mode != 0 {
			h.Mode = int64(r.Mode & 0o7777)
		}
	}
	attrs, err := sys.Xattrs(sys.FD(f))
	if err != nil {
		return fmt.Errorf("reading attributes of %q: %w", h.Name, err)
	}
	for k, v := range attrs {
		if k == "security.capability" || strings.HasPrefix(k, "user.") && !strings.HasPrefix(k, "user.overlay.") && k != "user.rootlesscontainers" {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords["SCHILY.xattr."+k] = v
		}
	}
	return nil
}
