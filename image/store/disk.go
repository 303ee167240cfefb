package store

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"
)

// disk is the FS of the operating system.
type disk struct {
	root     string
	uid, gid int // owner of what is made, when it differs from this process's
}

var _ FS = disk{}

func (d disk) path(name string) string { return d.root + "/" + name }

func (d disk) ReadFile(name string) ([]byte, error) {
	return readFile(d.path(name), make([]byte, 0, 4<<10))
}

// maxFileBytes bounds what is read at once: a shared store is another account's.
const maxFileBytes = 64 << 20

// readFile does not follow a link and does not wait at a FIFO. It is on the hot path: three system calls for a small file,
// and none of package os's for its poller. b's room is used as far as it goes.
func readFile(path string, b []byte) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	for b = b[:0]; len(b) < maxFileBytes; {
		n, err := syscall.Read(fd, b[len(b):cap(b)])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if b = b[:len(b)+n]; n == 0 || len(b) < cap(b) {
			return b, nil // a regular file gives less than asked for only at its end
		}
		b = slices.Grow(b, len(b))
	}
	return nil, &os.PathError{Op: "read", Path: path, Err: syscall.EFBIG}
}

func (d disk) ReadDir(name string) ([]string, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (d disk) Stat(name string) (fs.FileInfo, error) { return os.Lstat(d.path(name)) }

func (d disk) Open(name string) (File, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil { // not a nil *os.File inside a File
		return nil, err
	}
	return f, nil
}

func (d disk) Create(name string) (File, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d disk) Mkdir(name string) error {
	if err := os.Mkdir(d.path(name), 0o700); err != nil {
		return err
	}
	if d.uid == os.Geteuid() {
		return nil
	}
	return os.Lchown(d.path(name), d.uid, d.gid)
}

func (d disk) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d disk) Remove(name string) error     { return os.Remove(d.path(name)) }

func (d disk) SyncDir(name string) error {
	f, err := os.Open(d.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// SyncFS writes out the whole file system below the root (syncfs(2), Linux 2.6.39; errors are reported since 5.8). It
// waits for everybody's dirty data: never on a path somebody waits for.
func (d disk) SyncFS() error {
	f, err := os.Open(d.root)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncfs(int(f.Fd()))
}

// flocked is a lock of flock(2): it belongs to the open file, ends with it, also by SIGKILL.
type flocked struct{ fd int }

func (l flocked) Unlock() { syscall.Close(l.fd) }

// Lock opens and locks until the file it has locked is the file that has the name: locks of downloads are removed by their
// holders.
func (d disk) Lock(ctx context.Context, name string, how LockMode) (Lock, error) {
	for wait := 200 * time.Microsecond; ; wait = min(2*wait, 50*time.Millisecond) {
		l, err := tryLock(d.path(name), how)
		if err == nil || err != ErrLocked || how == TryExclusive || how == TryShared {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, &LockedError{Name: d.path(name), Pid: lockHolder(d.path(name)), Err: context.Cause(ctx)}
		case <-time.After(wait):
		}
	}
}

func tryLock(path string, how LockMode) (Lock, error) {
	fd, err := openLock(path)
	if err != nil {
		return nil, &os.PathError{Op: "opening lock", Path: path, Err: err}
	}
	op := syscall.LOCK_EX
	if how == Shared || how == TryShared {
		op = syscall.LOCK_SH
	}
	err = flock(fd, op|syscall.LOCK_NB)
	if err == nil && !sameFile(fd, path) {
		err = syscall.EWOULDBLOCK // removed by its holder: once more
	}
	if err == nil {
		return flocked{fd}, nil
	}
	syscall.Close(fd)
	if err == syscall.EWOULDBLOCK {
		return nil, ErrLocked
	}
	return nil, &os.PathError{Op: "locking", Path: path, Err: err}
}

// openLock opens a file, made if absent, or a directory.
func openLock(path string) (int, error) {
	const flags = syscall.O_RDONLY | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	fd, err := syscall.Open(path, flags, 0)
	if err == syscall.ENOENT {
		return syscall.Open(path, flags|syscall.O_CREAT, 0o600)
	}
	return fd, err
}

func flock(fd, op int) error {
	for {
		if err := syscall.Flock(fd, op); err != syscall.EINTR {
			return err
		}
	}
}

func sameFile(fd int, path string) bool {
	var a, b syscall.Stat_t
	return syscall.Fstat(fd, &a) == nil && syscall.Lstat(path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}
