package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// WriteOptions of Write.
type WriteOptions struct {
	Owners Owners    // says what the tree cannot; nil: the tree says all
	Newest time.Time // no entry is newer than this (SOURCE_DATE_EPOCH); zero: no bound
	// Keep tells whether a path below the root, without "./", goes into the layer; nil: all. A directory that does not goes
	// with all below it.
	Keep func(path string) bool
}

// Write writes the tree below dirfd as an uncompressed layer: of an overlay's upper directory what it changes (whiteouts and
// opaque directories become .wh. names), of any other tree all. Equal trees give equal streams: names are sorted, times are
// whole seconds, owners numbers, pax records are there only where ustar has no room. Hard links within the tree stay links;
// sockets are left out; the root itself has no entry.
//
// It runs where the tree's owners can be read, inside the user namespace; nothing is opened through a link, and a tree that
// changes meanwhile gives an error or a mixture, never anything outside. A name that itself begins with .wh. cannot be in a
// layer: *EntryError with ErrWhiteout.
func Write(ctx context.Context, w io.Writer, dirfd int, opts WriteOptions) (Stats, error) {
	p := &packer{ctx: ctx, tw: tar.NewWriter(w), opts: opts, seen: map[inode]string{}, buf: make([]byte, copyBytes)}
	fd, err := sys.OpenBeside(dirfd, ".", openDir, 0)
	if err != nil {
		return p.stats, fmt.Errorf("opening tree: %w", err)
	}
	defer syscall.Close(fd)
	if err := p.opaque(fd, ""); err != nil {
		return p.stats, err
	}
	if err := p.content(fd, ""); err != nil {
		return p.stats, err
	}
	if err := p.tw.Close(); err != nil {
		return p.stats, fmt.Errorf("writing layer: %w", err)
	}
	return p.stats, nil
}

type inode struct{ dev, ino uint64 }

type packer struct {
	ctx   context.Context
	tw    *tar.Writer
	opts  WriteOptions
	seen  map[inode]string // first name of files with several
	stats Stats
	buf   []byte
}

// content writes what is in a directory, sorted by name. It keeps one descriptor a level.
func (p *packer) content(fd int, path string) error {
	names, err := readNames(fd)
	if err != nil {
		return &EntryError{path, err}
	}
	for _, name := range names {
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		child := name
		if path != "" {
			child = path + "/" + name
		}
		if p.opts.Keep != nil && !p.opts.Keep(child) {
			continue
		}
		if err := p.entry(fd, name, child); err != nil {
			var e *EntryError
			if errors.As(err, &e) || errors.Is(err, context.Cause(p.ctx)) {
				return err
			}
			return &EntryError{child, err}
		}
	}
	return nil
}

// readNames reads a directory's names without disturbing fd's own position.
func readNames(fd int) ([]string, error) {
	again, err := sys.OpenBeside(fd, ".", openDir, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(again), ".")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (p *packer) entry(parent int, name, path string) error {
	var st sys.Stat
	if err := sys.StatBeside(parent, name, &st); err != nil {
		return err
	}
	if whiteoutStat(&st) {
		return p.marker(strings.TrimSuffix(path, name) + whPrefix + name)
	}
	if strings.HasPrefix(name, whPrefix) {
		return ErrWhiteout
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		return p.directory(parent, name, path, &st)
	case syscall.S_IFREG:
		return p.file(parent, name, path, &st)
	case syscall.S_IFLNK:
		text, err := sys.ReadLinkBeside(parent, name)
		if err != nil {
			return err
		}
		return p.node(path, &st, text)
	case syscall.S_IFSOCK:
		return nil
	}
	return p.node(path, &st, "")
}

// marker writes a whiteout.
func (p *packer) marker(name string) error {
	p.stats.Entries++
	return p.tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, ModTime: time.Unix(0, 0)})
}

// opaque writes the mark of an opaque directory, if it is one.
func (p *packer) opaque(fd int, path string) error {
	var b [8]byte
	n, err := sys.Fgetxattr(fd, opaqueXattr, b[:])
	if err != nil || string(b[:n]) != "y" {
		return nil
	}
	if path != "" {
		path += "/"
	}
	return p.marker(path + whOpaque)
}

func (p *packer) directory(parent int, name, path string, st *sys.Stat) error {
	fd, err := sys.OpenBeside(parent, name, openDir, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	h, err := p.header(fd, path, st)
	if err != nil {
		return err
	}
	h.Name += "/"
	if err := p.put(h, fd); err != nil {
		return err
	}
	if err := p.opaque(fd, path); err != nil {
		return err
	}
	return p.content(fd, path)
}

// node writes a link, a FIFO or a device: all of it is in the header.
func (p *packer) node(path string, st *sys.Stat, link string) error {
	if done, err := p.linked(path, st); done || err != nil {
		return err
	}
	h, err := p.header(-1, path, st)
	if err != nil {
		return err
	}
	h.Linkname = link
	return p.put(h, -1)
}

func (p *packer) file(parent int, name, path string, st *sys.Stat) error {
	if done, err := p.linked(path, st); done || err != nil {
		return err
	}
	fd, err := sys.OpenBeside(parent, name, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := sys.StatBeside(fd, "", st); err != nil { // of what is open, in case the name has changed hands
		return err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return ErrType
	}
	if white(fd, st) {
		return p.marker(strings.TrimSuffix(path, name) + whPrefix + name)
	}
	h, err := p.header(fd, path, st)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeReg {
		h.Size = st.Size
	}
	if err := p.put(h, fd); err != nil || h.Size == 0 {
		return err
	}
	p.stats.Size += h.Size
	return p.copy(fd, h.Size)
}

// white tells whether an empty file is a whiteout in overlayfs' other form.
func white(fd int, st *sys.Stat) bool {
	if st.Size != 0 {
		return false
	}
	_, err := sys.Fgetxattr(fd, whiteoutXattr, nil)
	return err == nil
}

// copy writes exactly size bytes of a file: one that shrinks is an error, one that grows is cut.
func (p *packer) copy(fd int, size int64) error {
	for left := size; left > 0; {
		n, err := syscall.Read(fd, p.buf[:min(left, int64(len(p.buf)))])
		if err == syscall.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if _, err := p.tw.Write(p.buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// linked writes a hard link to the first name of a file that has several, and remembers the first.
func (p *packer) linked(path string, st *sys.Stat) (bool, error) {
	if st.Nlink < 2 {
		return false, nil
	}
	id := inode{st.Dev, st.Ino}
	first, ok := p.seen[id]
	if !ok {
		p.seen[id] = path
		return false, nil
	}
	h, err := p.header(-1, path, st)
	if err != nil {
		return false, err
	}
	h.Typeflag, h.Linkname, h.Devmajor, h.Devminor = tar.TypeLink, first, 0, 0
	return true, p.put(h, -1)
}

// header describes a file by its stat and its record.
func (p *packer) header(fd int, path string, st *sys.Stat) (*tar.Header, error) {
	h := &tar.Header{Name: path, Uid: int(st.Uid), Gid: int(st.Gid), ModTime: p.time(st)}
	mode := st.Mode
	major, minor := sys.Device(st.Rdev)
	if p.opts.Owners != nil {
		rec, ok, err := p.opts.Owners.Lookup(fd, path)
		if err != nil {
			return nil, err
		}
		if ok {
			mode, major, minor = rec.apply(h, st, major, minor)
		}
	}
	h.Mode = int64(mode & 0o7777)
	switch mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		h.Typeflag = tar.TypeDir
	case syscall.S_IFREG:
		h.Typeflag = tar.TypeReg
	case syscall.S_IFLNK:
		h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
	case syscall.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case syscall.S_IFCHR:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(major), int64(minor)
	case syscall.S_IFBLK:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeBlock, int64(major), int64(minor)
	default:
		return nil, ErrType
	}
	return h, nil
}

// apply puts what was recorded in place of what the tree says, and returns mode and device. A device stands only where an
// empty file keeps its place: a program that has written into that file has made it a file.
func (r Record) apply(h *tar.Header, st *sys.Stat, major, minor uint32) (uint32, uint32, uint32) {
	if r.UID >= 0 {
		h.Uid = r.UID
	}
	if r.GID >= 0 {
		h.Gid = r.GID
	}
	const setID = 0o6000
	kind, own := r.Mode&syscall.S_IFMT, st.Mode&syscall.S_IFMT
	switch {
	case r.Mode == 0:
	case kind == own:
		return st.Mode | r.Mode&setID, major, minor // the other bits may have been changed since
	case own == syscall.S_IFREG && st.Size == 0 && (kind == syscall.S_IFCHR || kind == syscall.S_IFBLK):
		return r.Mode, r.Major, r.Minor
	}
	return st.Mode, major, minor
}

func (p *packer) time(st *sys.Stat) time.Time {
	t := time.Unix(st.Mtim.Sec, 0)
	if !p.opts.Newest.IsZero() && t.After(p.opts.Newest) {
		t = p.opts.Newest.Truncate(time.Second)
	}
	return t
}

// put writes a header with the extended attributes of fd.
func (p *packer) put(h *tar.Header, fd int) error {
	p.stats.Entries++
	if fd >= 0 && h.Typeflag != tar.TypeChar && h.Typeflag != tar.TypeBlock {
		if err := readXattrs(fd, h); err != nil {
			return err
		}
	}
	return p.tw.WriteHeader(h)
}

// readXattrs adds an open file's attributes, without overlayfs', ours, and those that belong to this machine.
func readXattrs(fd int, h *tar.Header) error {
	names, err := xattrNames(fd)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n == "" || reserved(n) || n == "security.selinux" || strings.HasPrefix(n, "system.") && !strings.HasPrefix(n, "system.posix_acl_") {
			continue
		}
		value := make([]byte, 64<<10)
		k, err := sys.Fgetxattr(fd, n, value)
		if err == syscall.ENODATA || err == syscall.EPERM { // gone since; or of another namespace
			continue
		}
		if err != nil {
			return fmt.Errorf("reading attribute %q: %w", n, err)
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[xattrRecord+n] = string(value[:k])
	}
	return nil
}

func xattrNames(fd int) ([]string, error) {
	b := make([]byte, 1<<10)
	for {
		n, err := sys.Flistxattr(fd, b)
		switch err {
		case nil:
			return strings.Split(string(b[:n]), "\x00"), nil
		case syscall.EOPNOTSUPP:
			return nil, nil
		case syscall.ERANGE:
			b = make([]byte, len(b)*8)
			if len(b) <= 1<<20 {
				continue
			}
		}
		return nil, fmt.Errorf("listing attributes: %w", err)
	}
}
