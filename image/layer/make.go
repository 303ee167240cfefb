package layer

import (
	"archive/tar"
	"io"
	"slices"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

func (x *extractor) directory(h *tar.Header, parent *dir, base string) error {
	fd, err := makeDir(parent, base)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return x.describe(fd, h, syscall.S_IFDIR, x.name())
}

func (x *extractor) file(h *tar.Header, content io.Reader, parent *dir, base string) error {
	if err := x.grown(h.Size); err != nil { // before anything of a bomb is read
		return err
	}
	fd, err := x.create(parent, base)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := x.fill(fd, content, h.Size, isSparse(h)); err != nil {
		return err
	}
	x.stats.Size += h.Size
	return x.describe(fd, h, syscall.S_IFREG, x.name())
}

// create makes a new file: O_EXCL never opens what is there, be it a link or another name's file.
func (x *extractor) create(parent *dir, base string) (fd int, err error) {
	err = x.again(parent, base, func() error {
		fd, err = sys.OpenBeside(parent.fd, base, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o600)
		return err
	})
	return fd, err
}

// isSparse tells whether a file has holes; archive/tar reads them as zeros.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	_, v0 := h.PAXRecords["GNU.sparse.map"]
	_, v1 := h.PAXRecords["GNU.sparse.major"]
	_, v00 := h.PAXRecords["GNU.sparse.numblocks"]
	return v0 || v1 || v00
}

// fill writes size bytes of content; blocks of zeros of a sparse file stay holes.
func (x *extractor) fill(fd int, content io.Reader, size int64, sparse bool) error {
	for left := size; left > 0; {
		b := x.buf[:min(left, int64(len(x.buf)))]
		if _, err := io.ReadFull(content, b); err != nil {
			return x.broken(err)
		}
		left -= int64(len(b))
		if sparse && zero(b) {
			if _, err := syscall.Seek(fd, int64(len(b)), io.SeekCurrent); err != nil {
				return err
			}
			continue
		}
		if err := writeAll(fd, b); err != nil {
			return err
		}
	}
	if sparse {
		return syscall.Ftruncate(fd, size)
	}
	return nil
}

func zero(b []byte) bool {
	const step = 64
	var none [step]byte
	for len(b) >= step {
		if [step]byte(b) != none {
			return false
		}
		b = b[step:]
	}
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		if err != nil && err != syscall.EINTR {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

func (x *extractor) symlink(h *tar.Header, parent *dir, base string) error {
	if h.Linkname == "" || len(h.Linkname) > x.limits.PathBytes {
		return &LimitError{"bytes in a link", int64(x.limits.PathBytes)}
	}
	// The text may say anything: it is resolved by programs inside, where / is the container's root.
	err := x.again(parent, base, func() error { return sys.SymlinkBeside(h.Linkname, parent.fd, base) })
	if err != nil {
		return err
	}
	return x.describeBeside(parent.fd, base, h, syscall.S_IFLNK)
}

func (x *extractor) hardlink(h *tar.Header, parent *dir, base string) error {
	target, err := x.limits.split(h.Linkname, x.link)
	if err != nil {
		return err
	}
	x.link = target
	if len(target) == 0 || slices.Equal(target, x.path) {
		return ErrHardlink
	}
	dirfd, err := x.dirs.find(target[:len(target)-1])
	if err != nil {
		return ErrHardlink
	}
	defer syscall.Close(dirfd)
	old := target[len(target)-1]
	var st sys.Stat
	if err := sys.StatBeside(dirfd, old, &st); err != nil || st.Mode&syscall.S_IFMT == syscall.S_IFDIR || whiteoutStat(&st) {
		return ErrHardlink
	}
	if err := x.again(parent, base, func() error { return sys.LinkBeside(dirfd, old, parent.fd, base) }); err != nil {
		return err
	}
	return x.copyRecord(dirfd, old, &st)
}

func (x *extractor) fifo(h *tar.Header, parent *dir, base string) error {
	err := x.again(parent, base, func() error { return sys.MknodBeside(parent.fd, base, syscall.S_IFIFO|0o600, 0) })
	if err != nil {
		return err
	}
	return x.describeBeside(parent.fd, base, h, syscall.S_IFIFO)
}

// device records a device: no user namespace may make one, and /dev inside is moss's own. An empty file keeps its place,
// so that links to it and its removal by a later layer work.
func (x *extractor) device(h *tar.Header, parent *dir, base string) error {
	fd, err := x.create(parent, base)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	x.stats.Devices++
	kind := uint32(syscall.S_IFCHR)
	if h.Typeflag == tar.TypeBlock {
		kind = syscall.S_IFBLK
	}
	return x.describe(fd, h, kind, x.name())
}
