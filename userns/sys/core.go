package sys

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Namespace flags, for clone3(2), unshare(2) and setns(2).
const (
	NewNS     = unix.CLONE_NEWNS
	NewCgroup = unix.CLONE_NEWCGROUP
	NewUTS    = unix.CLONE_NEWUTS
	NewIPC    = unix.CLONE_NEWIPC
	NewUser   = unix.CLONE_NEWUSER
	NewPID    = unix.CLONE_NEWPID
	NewNet    = unix.CLONE_NEWNET
)

// PidfdOpen returns a descriptor of the process, close-on-exec (pidfd_open(2), Linux 5.3).
func PidfdOpen(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, fmt.Errorf("opening process %d: %w", pid, err)
	}
	return fd, nil
}

// PidfdSignal sends a signal to the process behind a pidfd; ESRCH when it has ended.
func PidfdSignal(pidfd int, sig syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, 0)
}

// PidfdGetfd duplicates descriptor fd of the process behind pidfd into this one (pidfd_getfd(2), Linux 5.6). It needs
// ptrace rights over that process, which the owner of its user namespace has whatever Yama's scope below 3.
func PidfdGetfd(pidfd, fd int) (int, error) {
	n, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil {
		return -1, fmt.Errorf("taking descriptor %d of another process: %w", fd, err)
	}
	return n, nil
}

// Poll waits until one of the descriptors is ready or timeoutMs passed (-1: for ever); EINTR is retried.
func Poll(fds []unix.PollFd, timeoutMs int) (int, error) {
	for {
		n, err := unix.Poll(fds, timeoutMs)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// PollFd is struct pollfd of poll(2).
type PollFd = unix.PollFd

// PollIn is POLLIN; PollHup is POLLHUP; PollOut is POLLOUT.
const (
	PollIn  = unix.POLLIN
	PollHup = unix.POLLHUP
	PollOut = unix.POLLOUT
	PollErr = unix.POLLERR
)

// A Part is a piece of a file's content and its place.
type Part struct {
	At   int64
	Data []byte
}

// MemfdProgram returns a close-on-exec memory file with the given content, sealed against every change. The gaps between
// parts are holes. Where the kernel forbids executable memory files (vm.memfd_noexec=2, Linux 6.3) it is an unnamed file in
// tmpDir, opened for reading only.
func MemfdProgram(name, tmpDir string, parts []Part) (int, error) {
	const exec = 0x10 // MFD_EXEC, Linux 6.3
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|exec)
	if err == unix.EINVAL { // an older kernel
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err == unix.EACCES {
		return unnamedProgram(tmpDir, parts)
	}
	if err != nil {
		return -1, fmt.Errorf("creating memory file %q: %w", name, err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if err = fill(fd, parts); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("writing memory file %q: %w", name, err)
	}
	return fd, nil
}

func unnamedProgram(dir string, parts []Part) (int, error) {
	w, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o700)
	if err != nil {
		return -1, fmt.Errorf("creating unnamed file in %q: %w", dir, err)
	}
	defer unix.Close(w)
	if err := fill(w, parts); err != nil {
		return -1, fmt.Errorf("writing unnamed file in %q: %w", dir, err)
	}
	return Reopen(w, unix.O_RDONLY)
}

func fill(fd int, parts []Part) error {
	for _, p := range parts {
		for len(p.Data) > 0 {
			n, err := unix.Pwrite(fd, p.Data, p.At)
			if err != nil && err != unix.EINTR {
				return err
			}
			n = max(n, 0)
			p.Data, p.At = p.Data[n:], p.At+int64(n)
		}
	}
	return nil
}

// DupAbove duplicates fd, close-on-exec, to a number of at least low.
func DupAbove(fd, low int) (int, error) {
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, low)
}

// Pipe returns both ends of a pipe, close-on-exec.
func Pipe() (r, w int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, fmt.Errorf("making a pipe: %w", err)
	}
	return p[0], p[1], nil
}

// Reopen opens what fd refers to once more through /proc/self/fd, with other flags.
func Reopen(fd, flags int) (int, error) {
	n, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening descriptor %d again: %w", fd, err)
	}
	return n, nil
}

// LockOFD takes an exclusive open-file-description lock on the whole file (fcntl(2), F_OFD_SETLK). The lock belongs to the
// open file description, so it is inherited through fork and exec and ends with the last descriptor of it. EAGAIN when
// somebody else holds it.
func LockOFD(fd int) error {
	lk := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk)
}

// ShareOFD takes a shared open-file-description lock; EAGAIN when somebody holds an exclusive one.
func ShareOFD(fd int) error {
	lk := unix.Flock_t{Type: unix.F_RDLCK}
	return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk)
}

// Arguments of fcntl(2) for lists that lock files themselves.
const (
	SetLock     = unix.F_OFD_SETLK
	SetLockWait = unix.F_OFD_SETLKW
	WriteLock   = unix.F_WRLCK
	Unlock      = unix.F_UNLCK
)

// LockWhole is a struct flock over a whole file.
func LockWhole(kind int16) []byte {
	b := make([]byte, unsafe.Sizeof(unix.Flock_t{}))
	(*unix.Flock_t)(unsafe.Pointer(&b[0])).Type = kind
	return b
}

// LockedOFD tells whether another open file description holds a lock on the file; it takes none.
func LockedOFD(fd int) (bool, error) {
	lk := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &lk); err != nil {
		return false, err
	}
	return lk.Type != unix.F_UNLCK, nil
}

// Splice moves up to n bytes from a pipe to a file at offset *off (nil where out has no offset), without copying them
// through this process. EAGAIN when the pipe is empty and non-blocking.
func Splice(in, out int, off *int64, n int) (int64, error) {
	for {
		m, err := unix.Splice(in, nil, out, off, n, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			return m, err
		}
	}
}

// SetSubreaper makes orphaned descendants children of this process (prctl(2), PR_SET_CHILD_SUBREAPER).
func SetSubreaper() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// SetDumpable sets PR_SET_DUMPABLE of this process.
func SetDumpable(on bool) error {
	v := uintptr(0)
	if on {
		v = 1
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, v, 0, 0, 0)
}

// Winsize is the size of a terminal, struct winsize of ioctl_tty(2).
type Winsize = unix.Winsize

// GetWinsize and SetWinsize read and set a terminal's size.
func GetWinsize(fd int) (*Winsize, error) { return unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ) }

// SetWinsize sets a terminal's size; its foreground process group gets SIGWINCH.
func SetWinsize(fd int, ws *Winsize) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, ws) }

// IsTerminal tells whether fd is a terminal.
func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// Termios is the state of a terminal line.
type Termios = unix.Termios

// GetTermios reads a terminal's state.
func GetTermios(fd int) (*Termios, error) { return unix.IoctlGetTermios(fd, unix.TCGETS) }

// SetTermios sets a terminal's state at once.
func SetTermios(fd int, t *Termios) error { return unix.IoctlSetTermios(fd, unix.TCSETS, t) }

// MakeRaw sets the raw mode of cfmakeraw(3) and returns the state before it.
func MakeRaw(fd int) (*Termios, error) {
	old, err := GetTermios(fd)
	if err != nil {
		return nil, err
	}
	t := *old
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return old, SetTermios(fd, &t)
}

// Device returns major and minor of a device file's st_rdev.
func Device(rdev uint64) (major, minor uint32) { return unix.Major(rdev), unix.Minor(rdev) }

// OpenInRoot opens path below the directory root as if root were "/": links are followed but never lead outside, magic
// links are refused (openat2(2), Linux 5.6).
func OpenInRoot(root int, path string, flags int) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for range 32 {
		fd, err := unix.Openat2(root, path, &how)
		if err == unix.EAGAIN || err == unix.EINTR { // a rename raced with the walk
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return os.NewFile(uintptr(fd), path), nil
	}
	return nil, &os.PathError{Op: "open", Path: path, Err: unix.EAGAIN}
}

// OpenHowSize and the resolve flags are for callers that build an openat2 call of their own.
const (
	OpenHowSize        = 24
	ResolveInRoot      = unix.RESOLVE_IN_ROOT
	ResolveNoMagic     = unix.RESOLVE_NO_MAGICLINKS
	ResolveNoSymlinks  = unix.RESOLVE_NO_SYMLINKS
	ResolveNoXDev      = unix.RESOLVE_NO_XDEV
	OPath              = unix.O_PATH
	ONofollow          = unix.O_NOFOLLOW
	OpenTreeClone      = 1
	AtRecursive        = unix.AT_RECURSIVE
	AtEmptyPath        = unix.AT_EMPTY_PATH
	AtFdcwd            = unix.AT_FDCWD
	MoveMountFromEmpty = unix.MOVE_MOUNT_F_EMPTY_PATH
	MoveMountToEmpty   = unix.MOVE_MOUNT_T_EMPTY_PATH
)

// Statfs returns the file system's magic number and space below path.
func Statfs(path string) (magic int64, free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	bs := uint64(st.Bsize)
	return int64(st.Type), st.Bavail * bs, st.Blocks * bs, nil
}

// Prlimit reads (new nil) or sets a resource limit of a process (0: this one).
func Prlimit(pid, resource int, newLimit *Rlimit) (Rlimit, error) {
	var old Rlimit
	err := unix.Prlimit(pid, resource, newLimit, &old)
	return old, err
}

// Rlimit is struct rlimit of getrlimit(2).
type Rlimit = unix.Rlimit

// MemfdData returns a close-on-exec memory file with the given content, to be read from its start.
func MemfdData(name string, b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("creating memory file %q: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.WriteAt(b, 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("writing memory file %q: %w", name, err)
	}
	return f, nil
}

// Addr returns the address of b's first byte for a raw system call; the caller keeps b alive until it has returned.
func Addr(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// PidfdExit returns the wait status of an ended process that has been reaped by somebody else, from a pidfd that was
// opened while it lived (PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15).
func PidfdExit(pidfd int) (syscall.WaitStatus, error) {
	const (
		getInfo  = 3<<30 | 64<<16 | 0xff<<8 | 11
		infoExit = 1 << 3
	)
	var info [64]byte // struct pidfd_info: mask at 0, exit_code at 60
	info[0] = infoExit
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(pidfd), getInfo, uintptr(unsafe.Pointer(&info))); e != 0 {
		return 0, fmt.Errorf("asking for an exit status: %w", e)
	}
	if info[0]&infoExit == 0 {
		return 0, fmt.Errorf("asking for an exit status: %w", unix.ENODATA)
	}
	code := uint32(info[60]) | uint32(info[61])<<8 | uint32(info[62])<<16 | uint32(info[63])<<24
	return syscall.WaitStatus(code), nil
}

// PidfdFile opens a process for waiting: the file becomes readable when it has ended.
func PidfdFile(pidfd int) (*os.File, error) {
	fd, err := DupAbove(pidfd, 3)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "process"), nil
}

// AwaitReadable waits without holding a thread until f is readable or at its end, or its read deadline has passed (an error
// then). Readiness is asked of the kernel each time: the poller is edge-triggered, and what it told before the wait began is
// forgotten by then.
func AwaitReadable(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return c.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := Poll(p, 0)
		return n > 0 || err != nil
	})
}

// FD is f's descriptor without the side effect of File.Fd, which makes it blocking; -1 when f is closed.
func FD(f *os.File) int {
	n := -1
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { n = int(fd) })
	}
	return n
}

// KernelRelease is the kernel's release as uname(2) tells it.
func KernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// ParentNamespace returns a descriptor of the user namespace in which the one of fd was made (ioctl_ns(2), NS_GET_PARENT,
// Linux 4.9).
func ParentNamespace(fd int) (int, error) {
	n, err := unix.IoctlRetInt(fd, unix.NS_GET_PARENT)
	if err != nil {
		return -1, fmt.Errorf("finding the parent of a user namespace: %w", err)
	}
	unix.CloseOnExec(n)
	return n, nil
}
