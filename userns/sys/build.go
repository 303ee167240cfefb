package sys

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What image/build needs below a directory's descriptor. Names have no slash, so nothing is looked up by a joined string.

// StatFd describes an open file.
func StatFd(fd int) (st Stat, err error) {
	if err := unix.Fstat(fd, &st); err != nil {
		return st, os.NewSyscallError("fstat", err)
	}
	return st, nil
}

// UnlinkAt removes a file, or with dir an empty directory, below dirfd.
func UnlinkAt(dirfd int, name string, dir bool) error {
	flags := 0
	if dir {
		flags = unix.AT_REMOVEDIR
	}
	if err := unix.Unlinkat(dirfd, name, flags); err != nil {
		return &os.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

// LinkAt makes newName below newDir one more name of oldName below oldDir, of a symbolic link itself.
func LinkAt(oldDir int, oldName string, newDir int, newName string) error {
	if err := unix.Linkat(oldDir, oldName, newDir, newName, 0); err != nil {
		return &os.PathError{Op: "link", Path: newName, Err: err}
	}
	return nil
}

// MknodAt makes a FIFO, socket or device below dirfd; mode has the file's type (stat(2)).
func MknodAt(dirfd int, name string, mode uint32, dev uint64) error {
	if err := unix.Mknodat(dirfd, name, mode, int(dev)); err != nil {
		return &os.PathError{Op: "mknod", Path: name, Err: err}
	}
	return nil
}

// ChmodAt sets the mode of name below dirfd. fchmodat(2) follows links: name must not be one.
func ChmodAt(dirfd int, name string, mode uint32) error {
	if err := unix.Fchmodat(dirfd, name, mode&0o7777, 0); err != nil {
		return &os.PathError{Op: "chmod", Path: name, Err: err}
	}
	return nil
}

// SetModTimeAt sets both times of name below dirfd, of a symbolic link itself.
func SetModTimeAt(dirfd int, name string, t time.Time) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	if err := unix.UtimesNanoAt(dirfd, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimes", Path: name, Err: err}
	}
	return nil
}

// Xattrs returns the extended attributes of an open file; none where the file system has none.
func Xattrs(fd int) (map[string]string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Flistxattr(fd, buf)
	if err == unix.ERANGE {
		buf = make([]byte, 65536) // XATTR_LIST_MAX of xattr(7)
		n, err = unix.Flistxattr(fd, buf)
	}
	if err == unix.ENOTSUP || n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("flistxattr", err)
	}
	out := map[string]string{}
	for _, name := range strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		value, err := getXattr(fd, name)
		if err == unix.ENODATA {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("fgetxattr "+name, err)
		}
		out[name] = value
	}
	return out, nil
}

func getXattr(fd int, name string) (string, error) {
	value := make([]byte, 256)
	n, err := unix.Fgetxattr(fd, name, value)
	if err == unix.ERANGE {
		value = make([]byte, 65536)
		n, err = unix.Fgetxattr(fd, name, value)
	}
	if err != nil {
		return "", err
	}
	return string(value[:n]), nil
}

// NextData returns the next range of an open file at or after off that holds data, as lseek(2) tells (SEEK_DATA); end is
// false past the last one. A file system that does not know holes reports the whole file.
func NextData(fd int, off, size int64) (from, to int64, ok bool) {
	from, err := unix.Seek(fd, off, unix.SEEK_DATA)
	if err == unix.ENXIO || off >= size {
		return 0, 0, false
	}
	if err != nil {
		return off, size, true
	}
	to, err = unix.Seek(fd, from, unix.SEEK_HOLE)
	if err != nil {
		to = size
	}
	return from, to, from < to
}

// CopyRange copies n bytes at off from one open file to the same place of another inside the kernel (copy_file_range(2));
// it returns how many were copied.
func CopyRange(dst, src int, off int64, n int) (int, error) {
	from, to := off, off
	for {
		m, err := unix.CopyFileRange(src, &from, dst, &to, n, 0)
		if err != unix.EINTR {
			return m, err
		}
	}
}
