package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// describe gives an open file or directory its entry's owner, mode, attributes and time, in the only order that works:
// chown clears set-id bits and security.capability, setting attributes changes no time, and the time is last. kind is the
// file type the entry wants.
func (x *extractor) describe(fd int, h *tar.Header, kind uint32, name string) error {
	mode := uint32(h.Mode) & 0o7777
	rec := Record{UID: -1, GID: -1}
	if err := syscall.Fchown(fd, h.Uid, h.Gid); err != nil {
		if !cannotOwn(err) {
			return err
		}
		rec.UID, rec.GID = h.Uid, h.Gid
	}
	if device := kind == syscall.S_IFCHR || kind == syscall.S_IFBLK; device {
		rec = Record{UID: h.Uid, GID: h.Gid, Mode: kind | mode, Major: uint32(h.Devmajor), Minor: uint32(h.Devminor)}
		mode &= 0o777
	}
	if rec.UID >= 0 && mode&0o6000 != 0 && kind == syscall.S_IFREG { // set-id of somebody else would be set-id of us
		rec.Mode = kind | mode
		mode &^= 0o6000
	}
	if err := chmod(fd, mode); err != nil {
		return err
	}
	if err := x.record(fd, name, rec); err != nil {
		return err
	}
	if err := x.xattrs(fd, h); err != nil {
		return err
	}
	sec, nsec := modTime(h)
	return sys.TimesBeside(fd, "", sec, nsec)
}

// describeBeside is describe for what cannot be opened: links and FIFOs. They take no user attributes.
func (x *extractor) describeBeside(dirfd int, base string, h *tar.Header, kind uint32) error {
	rec := Record{UID: -1, GID: -1}
	if err := sys.ChownBeside(dirfd, base, h.Uid, h.Gid); err != nil {
		if !cannotOwn(err) {
			return err
		}
		rec.UID, rec.GID = h.Uid, h.Gid
	}
	if kind != syscall.S_IFLNK {
		if err := sys.ChmodBeside(dirfd, base, uint32(h.Mode)&0o7777); err != nil {
			return err
		}
	}
	if err := x.record(-1, x.name(), rec); err != nil {
		return err
	}
	x.stats.Dropped += int64(len(wanted(h)))
	sec, nsec := modTime(h)
	return sys.TimesBeside(dirfd, base, sec, nsec)
}

// cannotOwn tells whether chown failed because the id is not mapped here (EINVAL) or not ours to give (EPERM).
func cannotOwn(err error) bool { return err == syscall.EINVAL || err == syscall.EPERM }

// errNoOwner is what Extract says without Owners.
var errNoOwner = errors.New("owner or device cannot be set here")

func (x *extractor) record(fd int, name string, rec Record) error {
	if rec == (Record{UID: -1, GID: -1}) {
		return nil
	}
	if x.owners == nil {
		return errNoOwner
	}
	x.stats.Owners++
	return x.owners.Record(fd, name, rec)
}

// copyRecord gives a hard link's name what the side index says of its other name; attributes are the inode's own.
func (x *extractor) copyRecord(dirfd int, old string, st *sys.Stat) error {
	if x.owners == nil || st.Mode&syscall.S_IFMT == syscall.S_IFREG {
		return nil
	}
	rec, ok, err := x.owners.Lookup(-1, strings.Join(x.link, "/"))
	if err != nil || !ok {
		return err
	}
	return x.owners.Record(-1, x.name(), rec)
}

const xattrRecord = "SCHILY.xattr."

// wanted lists the names of an entry's extended attributes, sorted.
func wanted(h *tar.Header) []string {
	var names []string
	for k := range h.PAXRecords {
		if n, ok := strings.CutPrefix(k, xattrRecord); ok {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// reserved tells whether an attribute must not come from a layer: overlayfs would obey it (a redirect or metacopy leads
// elsewhere), or it is moss's own record.
func reserved(name string) bool {
	for _, p := range []string{"user.overlay.", "trusted.overlay.", "user.fuseoverlayfs.", "security.evm", "security.ima"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return name == ownerXattr
}

func (x *extractor) xattrs(fd int, h *tar.Header) error {
	names, total := wanted(h), 0
	for _, n := range names {
		value := h.PAXRecords[xattrRecord+n]
		if total += len(n) + len(value); total > x.limits.XattrBytes || len(value) > 64<<10 || len(n) > 255 {
			return &LimitError{"bytes of extended attributes in one entry", int64(x.limits.XattrBytes)}
		}
		if reserved(n) {
			x.stats.Dropped++
			continue
		}
		if err := sys.Fsetxattr(fd, n, []byte(value)); err != nil {
			if !mayLack(err, value) {
				return fmt.Errorf("setting attribute %q: %w", cut(n), err)
			}
			x.stats.Dropped++
		}
	}
	return nil
}

// mayLack tells whether an attribute is one that this file system or namespace does not take: not a reason to refuse the
// layer. ext4 has room for some 4 kB of attributes and says ENOSPC, as a full disk does.
func mayLack(err error, value string) bool {
	switch err {
	case syscall.EPERM, syscall.EACCES, syscall.EOPNOTSUPP, syscall.EINVAL, syscall.E2BIG, syscall.ERANGE:
		return true
	case syscall.ENOSPC:
		return len(value) > 2048
	}
	return false
}

// modTime is an entry's time; years a file system cannot hold are brought into its range.
func modTime(h *tar.Header) (sec, nsec int64) {
	if h.ModTime.IsZero() {
		return 0, 0
	}
	const first, last = -1 << 31, 1<<34 - 1 // ext4 with 256-byte inodes: 1901 to 2446
	return min(max(h.ModTime.Unix(), first), last), int64(h.ModTime.Nanosecond())
}
