package sys

import (
	"os"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Stat is struct stat of stat(2).
type Stat = unix.Stat_t

// LstatAt describes name below the directory dirfd without following a last symbolic link.
func LstatAt(dirfd int, name string) (st Stat, err error) {
	if err := unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return st, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return st, nil
}

// Fstat describes an open file.
func Fstat(fd int) (st Stat, err error) {
	return st, os.NewSyscallError("fstat", unix.Fstat(fd, &st))
}

// OpenAt opens name below the directory dirfd, close-on-exec, never following a last symbolic link.
func OpenAt(dirfd int, name string, flags int, perm uint32) (int, error) {
	for {
		fd, err := unix.Openat(dirfd, name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, perm)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return fd, nil
	}
}

// MkdirAt makes the directory name below dirfd and returns it opened. Its mode is set without the umask.
func MkdirAt(dirfd int, name string, mode uint32) (int, error) {
	if err := unix.Mkdirat(dirfd, name, mode&0o7777); err != nil {
		return -1, &os.PathError{Op: "mkdir", Path: name, Err: err}
	}
	return OpenAt(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// SymlinkAt makes the symbolic link name below dirfd.
func SymlinkAt(target string, dirfd int, name string) error {
	if err := unix.Symlinkat(target, dirfd, name); err != nil {
		return &os.PathError{Op: "symlink", Path: name, Err: err}
	}
	return nil
}

// ReadlinkAt returns the target of the symbolic link name below dirfd.
func ReadlinkAt(dirfd int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dirfd, name, buf)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(buf[:n]), nil
}

// LchownAt changes the owner of name below dirfd, of a symbolic link itself.
func LchownAt(dirfd int, name string, uid, gid int) error {
	if err := unix.Fchownat(dirfd, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "chown", Path: name, Err: err}
	}
	return nil
}

// SetModTime sets the modification time of an open file; its access time becomes the same.
func SetModTime(fd int, t time.Time) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	times := [2]unix.Timespec{ts, ts}
	return unix.UtimesNanoAt(fd, "", times[:], unix.AT_EMPTY_PATH)
}

// Clone makes the open file dst share the blocks of src (ioctl_ficlonerange(2): btrfs, xfs, bcachefs, …); EOPNOTSUPP, EXDEV
// or EINVAL where that cannot be.
func Clone(dst, src int) error { return unix.IoctlFileClone(dst, src) }

// SetXattr sets an extended attribute of an open file.
func SetXattr(fd int, name, value string) error {
	if err := unix.Fsetxattr(fd, name, []byte(value), 0); err != nil {
		return os.NewSyscallError("fsetxattr "+name, err)
	}
	return nil
}

// Syncfs writes all of the file system that fd lies on to its device (syncfs(2)).
func Syncfs(fd int) error { return os.NewSyscallError("syncfs", unix.Syncfs(fd)) }

// A Mount is one line of /proc/self/mountinfo.
type Mount struct {
	Point  string // where it is mounted, in this process's root
	FSType string
}

// MountsBelow lists the mounts of this process at dir and below it.
func MountsBelow(dir string) ([]Mount, error) {
	infos, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return nil, err
	}
	out := make([]Mount, 0, len(infos))
	for _, i := range infos {
		if !strings.HasSuffix(i.Mountpoint, "//deleted") {
			out = append(out, Mount{Point: i.Mountpoint, FSType: i.FSType})
		}
	}
	return out, nil
}
