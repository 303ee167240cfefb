package tree

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

	"github.com/moss-sandbox/moss/userns/sys"
)

// Limits bound an archive. A zero field means its default.
type Limits struct {
	Entries int64 `json:"entries,omitempty"` // names, default 1,048,576
	Size    int64 `json:"size,omitempty"`    // bytes of all files, holes counted, default 512 GiB
	Ratio   int64 `json:"ratio,omitempty"`   // unpacked to packed bytes once more than 4 GiB is unpacked, default 300
}

const ratioFloor = 4 << 30

func (l Limits) filled() Limits {
	if l.Entries == 0 {
		l.Entries = 1 << 20
	}
	if l.Size == 0 {
		l.Size = 512 << 30
	}
	if l.Ratio == 0 {
		l.Ratio = 300
	}
	return l
}

// A LimitError names the limit that an archive exceeds.
type LimitError struct {
	What  string
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("archive has more than %d %s", e.Limit, e.What)
}

// An EntryError says what is wrong with one name of an archive.
type EntryError struct {
	Name string
	Err  error
}

func (e *EntryError) Error() string { return fmt.Sprintf("archive entry %.200q: %v", e.Name, e.Err) }

// Unwrap returns the reason.
func (e *EntryError) Unwrap() error { return e.Err }

// What makes an entry hostile.
var (
	ErrEscape = errors.New("name leads outside of the archive")
	ErrLink   = errors.New("hard link to what is not in the archive")
	ErrDevice = errors.New("devices are not allowed here")
	ErrType   = errors.New("unknown type of entry")
)

// An Unpacking says how an archive becomes files. It is plain data.
type Unpacking struct {
	Dest   string  `json:"dest"`
	Owner  *Owner  `json:"owner,omitempty"` // of everything; nil: what the archive says
	Chmod  string  `json:"chmod,omitempty"`
	Limits Limits  `json:"limits"`
	Plain  Context `json:"plain,omitempty"`
}

// Context says whether the archive is a build context: files of the caller, no owners, no devices, all readable.
type Context bool

// Unpack writes a tar archive, already decompressed, below dst. Links inside the archive lead nowhere outside of the
// destination directory: it is the root for every name. packed tells how many compressed bytes were read so far; nil when
// not known. Partly written files stay: the caller throws the tree away.
func Unpack(dst *Dir, r io.Reader, u Unpacking, owners Owners, packed func() int64) (int, error) {
	mode, err := ParseMode(u.Chmod)
	if err != nil {
		return 0, err
	}
	own := Owner{}
	if u.Owner != nil {
		own = *u.Owner
	}
	root, err := MkdirAll(dst, u.Dest, own, 0o755, owners, nil)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	p := &unpacker{dst: dst, root: root, u: u, mode: mode, owners: owners, limits: u.Limits.filled(), packed: packed, buf: make([]byte, 256<<10)}
	if err := p.all(tar.NewReader(r)); err != nil {
		return p.count, err
	}
	return p.count, p.dirTimes()
}

type unpacker struct {
	dst    *Dir // the tree
	root   *Dir // the destination in it, which no name leaves
	u      Unpacking
	mode   Mode
	owners Owners
	limits Limits
	packed func() int64
	size   int64
	count  int
	late   []lateTime
	buf    []byte
	last   *Dir // the directory of the last entry
	lastAt string
}

func (p *unpacker) all(tr *tar.Reader) error {
	defer p.forget()
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading archive: %w", err)
		}
		if p.count++; int64(p.count) > p.limits.Entries {
			return &LimitError{"entries", p.limits.Entries}
		}
		if err := p.entry(tr, h); err != nil {
			var limit *LimitError
			if errors.As(err, &limit) {
				return err
			}
			return &EntryError{h.Name, err}
		}
	}
}

// name checks an entry's name and splits it.
func (p *unpacker) name(s string) (dir, base string, err error) {
	if s == "" || strings.ContainsRune(s, 0) || len(s) > 4095 {
		return "", "", errors.New("name is empty, too long or has a NUL byte")
	}
	depth := 0
	for part := range strings.SplitSeq(s, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return "", "", ErrEscape
			}
		default:
			if depth++; depth > 255 {
				return "", "", &LimitError{"directories deep", 255}
			}
		}
	}
	dir, base = path.Split(clean(s))
	return dir, base, nil
}

func (p *unpacker) entry(tr *tar.Reader, h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	dirName, base, err := p.name(h.Name)
	if err != nil {
		return err
	}
	if base == "" { // the root itself keeps what the destination has
		return nil
	}
	dir, err := p.open(dirName)
	if err != nil {
		return err
	}
	if err := p.clear(dir, base, h.Typeflag == tar.TypeDir); err != nil {
		return err
	}
	return p.make(tr, h, dir, base)
}

// open returns the directory of an entry; many follow each other in the same one.
func (p *unpacker) open(name string) (*Dir, error) {
	if p.last != nil && p.lastAt == name {
		return p.last, nil
	}
	own := Owner{}
	if p.u.Owner != nil {
		own = *p.u.Owner
	}
	d, err := MkdirAll(p.root, name, own, 0o755, p.owners, nil)
	if err != nil {
		return nil, err
	}
	p.forget()
	p.last, p.lastAt = d, name
	return d, nil
}

func (p *unpacker) forget() {
	if p.last != nil {
		p.last.Close()
		p.last = nil
	}
}

// clear removes what stands in the way; a directory stays for a directory.
func (p *unpacker) clear(dir *Dir, name string, forDir bool) error {
	st, err := dir.Stat(name)
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	isDir := st.Mode&syscall.S_IFMT == syscall.S_IFDIR
	if isDir && forDir {
		return nil
	}
	return dir.RemoveAll(name)
}

func (p *unpacker) make(tr *tar.Reader, h *tar.Header, dir *Dir, name string) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return p.directory(h, dir, name)
	case tar.TypeReg, '\x00', tar.TypeGNUSparse, '7':
		return p.regular(tr, h, dir, name)
	case tar.TypeLink:
		return p.hardlink(h, dir, name)
	case tar.TypeSymlink:
		if err := sys.SymlinkAt(h.Linkname, dir.fd(), name); err != nil {
			return err
		}
		return p.finish(h, dir, name)
	case tar.TypeFifo:
		if err := sys.MknodAt(dir.fd(), name, syscall.S_IFIFO|0o600, 0); err != nil {
			return err
		}
		return p.finish(h, dir, name)
	case tar.TypeChar, tar.TypeBlock:
		return p.device(h, dir, name)
	}
	return ErrType
}

func (p *unpacker) attributes(h *tar.Header, isDir bool) (Owner, uint32) {
	own, mode := Owner{h.Uid, h.Gid}, p.mode.Apply(uint32(h.Mode)&0o7777, isDir)
	if p.u.Owner != nil {
		own = *p.u.Owner
	}
	if p.u.Plain {
		own = Owner{os.Geteuid(), os.Getegid()}
		if mode |= 0o600; isDir {
			mode |= 0o700
		}
	}
	return own, mode
}

func (p *unpacker) finish(h *tar.Header, dir *Dir, name string) error {
	own, mode := p.attributes(h, h.Typeflag == tar.TypeDir)
	if err := p.owners.Set(dir, name, own, mode); err != nil {
		return err
	}
	return sys.SetModTimeAt(dir.fd(), name, h.ModTime)
}

func (p *unpacker) directory(h *tar.Header, dir *Dir, name string) error {
	own, mode := p.attributes(h, true)
	sub, err := dir.Sub(name)
	if errors.Is(err, syscall.ENOENT) {
		if sub, err = dir.mkdir(name, own, mode, p.owners); err != nil {
			return err
		}
	} else if err != nil {
		return err
	} else if err := p.owners.Set(dir, name, own, mode); err != nil {
		sub.Close()
		return err
	}
	defer sub.Close()
	p.late = append(p.late, lateTime{"/" + sub.path, h.ModTime})
	return p.xattrs(h, sub.f)
}

func (p *unpacker) regular(tr *tar.Reader, h *tar.Header, dir *Dir, name string) error {
	if p.size += h.Size; p.size > p.limits.Size || h.Size < 0 {
		return &LimitError{"bytes", p.limits.Size}
	}
	fd, err := sys.OpenAt(dir.fd(), name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err := p.content(f, tr, h.Size); err != nil {
		return err
	}
	own, mode := p.attributes(h, false)
	if err := p.owners.Set(dir, name, own, mode); err != nil {
		return err
	}
	if err := p.xattrs(h, f); err != nil {
		return err
	}
	if err := sys.SetModTime(fd, h.ModTime); err != nil {
		return err
	}
	return f.Close()
}

// content writes a file and leaves blocks of zeros out: they become holes.
func (p *unpacker) content(f *os.File, r io.Reader, size int64) error {
	var at int64
	for {
		n, err := io.ReadFull(r, p.buf)
		if n > 0 && !(n == len(p.buf) && allZero(p.buf)) {
			if _, err := f.WriteAt(p.buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if p.tooDense() {
			return &LimitError{"times its compressed size", p.limits.Ratio}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if at < size {
		return io.ErrUnexpectedEOF
	}
	return f.Truncate(size)
}

func (p *unpacker) tooDense() bool {
	return p.packed != nil && p.size > ratioFloor && p.size/max(p.packed(), 1) > p.limits.Ratio
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if b[0]|b[1]|b[2]|b[3]|b[4]|b[5]|b[6]|b[7] != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (p *unpacker) hardlink(h *tar.Header, dir *Dir, name string) error {
	fromDir, base, err := p.name(h.Linkname)
	if err != nil {
		return err
	}
	from, err := p.root.At(fromDir)
	if err != nil {
		return fmt.Errorf("%w: %.200q", ErrLink, h.Linkname)
	}
	defer from.Close()
	st, err := from.Stat(base)
	if base == "" || err != nil || st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		return fmt.Errorf("%w: %.200q", ErrLink, h.Linkname)
	}
	return sys.LinkAt(from.fd(), base, dir.fd(), name)
}

func (p *unpacker) device(h *tar.Header, dir *Dir, name string) error {
	if p.u.Plain {
		return ErrDevice
	}
	own, mode := p.attributes(h, false)
	kind := uint32(syscall.S_IFCHR)
	if h.Typeflag == tar.TypeBlock {
		kind = syscall.S_IFBLK
	}
	if h.Devmajor < 0 || h.Devmajor > 4095 || h.Devminor < 0 || h.Devminor > 1<<20-1 {
		return ErrDevice
	}
	return p.owners.Device(dir, name, own, kind|mode, makedev(h.Devmajor, h.Devminor))
}

// makedev is glibc's encoding, which the kernel's new_decode_dev reads for majors below 4096 and minors below 2^20.
func makedev(major, minor int64) uint64 {
	return uint64(minor&0xff | major<<8 | (minor&^0xff)<<12)
}

func (p *unpacker) xattrs(h *tar.Header, f *os.File) error {
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, "SCHILY.xattr.")
		if !ok || foreignXattr(name) || bool(p.u.Plain) {
			continue
		}
		if err := sys.SetXattr(int(f.Fd()), name, value); err != nil && !refused(err) {
			return err
		}
	}
	return nil
}

// dirTimes comes last: writing into a directory changes its time.
func (p *unpacker) dirTimes() error {
	for i := len(p.late) - 1; i >= 0; i-- {
		if err := p.dirTime(p.late[i].path, p.late[i].at); err != nil {
			return err
		}
	}
	return nil
}

func (p *unpacker) dirTime(name string, at time.Time) error {
	dir, base := path.Split(name)
	d, err := p.dst.At(dir)
	if err != nil {
		return nil // replaced by a later entry
	}
	defer d.Close()
	if st, err := d.Stat(base); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return nil
	}
	return sys.SetModTimeAt(d.fd(), base, at)
}
