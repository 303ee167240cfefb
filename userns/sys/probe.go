package sys

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrnoName returns the symbolic name of the errno in err, such as "EPERM"; the empty string for nil, and the error's text for
// an error without errno.
func ErrnoName(err error) string {
	var e syscall.Errno
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &e):
		return err.Error()
	case unix.ErrnoName(e) == "":
		return "errno " + strconv.Itoa(int(e))
	}
	return unix.ErrnoName(e)
}

// ProbeClone3 asks for clone3(2) without making anything: EINVAL says it is there, ENOSYS that the kernel is older than 5.3
// or that a filter hides it (a filter cannot look into its arguments, so it hides all of it).
func ProbeClone3() error {
	_, _, e := unix.RawSyscall(unix.SYS_CLONE3, 0, 0, 0)
	return e
}

// ProbeUnshareUser asks for unshare(CLONE_NEWUSER) from a process with several threads, which every Go program has: EINVAL says
// that it would be tried, EPERM that a filter refuses it before the kernel looks.
func ProbeUnshareUser() error {
	_, _, e := unix.RawSyscall(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0)
	return e
}

// ProbeOpenat2 tries openat2(2), Linux 5.6.
func ProbeOpenat2() error {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// ProbeMemfdExec tries to make a memory file that may be executed: EACCES under vm.memfd_noexec=2.
func ProbeMemfdExec() error {
	fd, err := unix.MemfdCreate("moss-probe", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3 all are executable
		fd, err = unix.MemfdCreate("moss-probe", unix.MFD_CLOEXEC)
	}
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// ProbeTmpfile tries to make an unnamed file in dir.
func ProbeTmpfile(dir string) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o700)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// ProbeSeccomp asks whether filters can be installed and may return an errno (seccomp(2), Linux 4.14).
func ProbeSeccomp() error {
	action := uint32(unix.SECCOMP_RET_ERRNO)
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	if e != 0 {
		return e
	}
	return nil
}

// ProbeInotify tries to watch a directory: EMFILE when fs.inotify.max_user_instances is used up.
func ProbeInotify(dir string) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, dir, unix.IN_CREATE)
	return err
}

// ProbeTun tries to make a tun device; it ends with this call.
func ProbeTun() error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("mossprobe")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
}

// ProbePacket tries to open a packet socket.
func ProbePacket() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// ProbeXattr tries to set a user attribute on an open file.
func ProbeXattr(f *os.File) error {
	return unix.Fsetxattr(int(f.Fd()), "user.moss.probe", []byte("y"), 0)
}

// HasFileCapabilities tells whether the file has capabilities of its own (capabilities(7)).
func HasFileCapabilities(path string) bool {
	n, err := unix.Getxattr(path, "security.capability", nil)
	return err == nil && n > 0
}

// MountFlags returns the flags of the mount that path lies on: ST_RDONLY, ST_NOEXEC, …
func MountFlags(path string) (readOnly, noExec bool, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false, false, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return st.Flags&unix.ST_RDONLY != 0, st.Flags&unix.ST_NOEXEC != 0, nil
}
