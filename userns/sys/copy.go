package sys

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OpenBeneath opens one name of a directory; a link in its place is opened only where flags say so, never followed out.
func OpenBeneath(dir int, name string, flags int) (*os.File, error) {
	fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// ReadlinkFD reads the link that an O_PATH descriptor is.
func ReadlinkFD(fd int) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", fmt.Errorf("reading a link: %w", err)
	}
	return string(buf[:n]), nil
}

// Reflink makes dst share all of src's content, where the file system can (ioctl_ficlone(2)).
func Reflink(dst, src int) error { return unix.IoctlFileClone(dst, src) }

// KeepOpen lets a descriptor live across execve(2).
func KeepOpen(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	return err
}

// EchoFlag is ECHO of termios(3).
const EchoFlag = unix.ECHO

// SetName gives the calling thread, the process's first, a name of up to 15 bytes (PR_SET_NAME).
func SetName(name string) {
	b, err := unix.BytePtrFromString(name)
	if err == nil {
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(b)), 0, 0, 0) // a name is no necessity
	}
}
