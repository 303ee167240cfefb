package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below work on one name in a directory that is open, for code that builds, reads and removes foreign trees.
// None follows a link in its last component. Their errors are bare errno: the caller knows the whole path.

// OpenBeside opens name in dir without following it; close-on-exec.
func OpenBeside(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// StatBeside is lstat(2) of name in dir; an empty name means dir itself.
func StatBeside(dir int, name string, st *unix.Stat_t) error {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	return unix.Fstatat(dir, name, st, flags)
}

// MkdirBeside makes a directory.
func MkdirBeside(dir int, name string, mode uint32) error { return unix.Mkdirat(dir, name, mode) }

// MknodBeside makes a node; mode carries the type.
func MknodBeside(dir int, name string, mode uint32, dev uint64) error {
	return unix.Mknodat(dir, name, mode, int(dev))
}

// Makedev joins major and minor.
func Makedev(major, minor uint32) uint64 { return unix.Mkdev(major, minor) }

// SymlinkBeside makes a symbolic link with the given text.
func SymlinkBeside(text string, dir int, name string) error { return unix.Symlinkat(text, dir, name) }

// LinkBeside makes a hard link to old in oldDir, to the link itself if that is a symbolic link.
func LinkBeside(oldDir int, old string, dir int, name string) error {
	return unix.Linkat(oldDir, old, dir, name, 0)
}

// UnlinkBeside removes a file, RmdirBeside an empty directory.
func UnlinkBeside(dir int, name string) error { return unix.Unlinkat(dir, name, 0) }

// RmdirBeside removes an empty directory.
func RmdirBeside(dir int, name string) error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) }

// ChownBeside changes the owner of name itself.
func ChownBeside(dir int, name string, uid, gid int) error {
	return unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

// ChmodBeside changes the mode of name in dir; it must be no link (Linux below 6.6 cannot refuse to follow one).
func ChmodBeside(dir int, name string, mode uint32) error { return unix.Fchmodat(dir, name, mode, 0) }

// TimesBeside sets both times of name itself in nanoseconds of the Unix time; an empty name means the open file fd.
func TimesBeside(fd int, name string, sec, nsec int64) error {
	ts := [2]unix.Timespec{{Sec: sec, Nsec: nsec}, {Sec: sec, Nsec: nsec}}
	if name != "" {
		return unix.UtimesNanoAt(fd, name, ts[:], unix.AT_SYMLINK_NOFOLLOW)
	}
	// utimensat(2) with a null name is futimens(3); the wrapper of x/sys takes no null.
	if _, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts[0])), 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// Fsetxattr, Fgetxattr and Flistxattr are the calls of xattr(7) on an open file.
func Fsetxattr(fd int, name string, value []byte) error { return unix.Fsetxattr(fd, name, value, 0) }

// Fgetxattr reads into value and returns the length; ENODATA when there is none.
func Fgetxattr(fd int, name string, value []byte) (int, error) {
	return unix.Fgetxattr(fd, name, value)
}

// Flistxattr reads the NUL-terminated names.
func Flistxattr(fd int, list []byte) (int, error) { return unix.Flistxattr(fd, list) }

// Lsetxattr, Lgetxattr and Llistxattr are the calls of xattr(7) on a path's last component itself.
func Lsetxattr(path, name string, value []byte) error { return unix.Lsetxattr(path, name, value, 0) }

// Lgetxattr reads into value and returns the length.
func Lgetxattr(path, name string, value []byte) (int, error) {
	return unix.Lgetxattr(path, name, value)
}

// Llistxattr reads the NUL-terminated names.
func Llistxattr(path string, list []byte) (int, error) { return unix.Llistxattr(path, list) }

// ReadLinkBeside returns the text of a symbolic link.
func ReadLinkBeside(dir int, name string) (string, error) {
	for size := 256; ; size *= 2 {
		b := make([]byte, size)
		n, err := unix.Readlinkat(dir, name, b)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(b[:n]), nil
		}
	}
}

// SeekData and SeekHole are the whence values of lseek(2) for sparse files.
const (
	SeekData = unix.SEEK_DATA
	SeekHole = unix.SEEK_HOLE
)

// StartWriteback begins to write a range of a file out, without waiting (sync_file_range(2)).
func StartWriteback(fd int, off, n int64) error {
	return unix.SyncFileRange(fd, off, n, unix.SYNC_FILE_RANGE_WRITE)
}

// SetPipeSize asks for a pipe's capacity in bytes (fcntl(2), F_SETPIPE_SZ); EPERM above /proc/sys/fs/pipe-max-size.
func SetPipeSize(fd, n int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, n)
	return err
}

// SpliceFile moves up to n bytes of a file at off into a pipe without copying them; it waits for room in the pipe.
func SpliceFile(file, pipe int, off *int64, n int) (int64, error) {
	for {
		m, err := unix.Splice(file, off, pipe, nil, n, unix.SPLICE_F_MORE)
		if err != unix.EINTR {
			return m, err
		}
	}
}

// ImmutableFlags clears the flags FS_IMMUTABLE_FL and FS_APPEND_FL of an open file (ioctl_iflags(2)); it tells whether one
// was set. Only CAP_LINUX_IMMUTABLE of the first user namespace sets or clears them.
func ImmutableFlags(fd int) (bool, error) {
	const immutable, appendOnly = 0x10, 0x20
	v, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || v&(immutable|appendOnly) == 0 {
		return false, err
	}
	return true, unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, v&^(immutable|appendOnly))
}
