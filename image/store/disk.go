package store

import (
	"context"
	"errors"
	"fmt"
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

// maxFileBytes bounds what is read at once: a shared store is another account's.
const maxFileBytes = 64 << 20

// ReadFile does not follow a link and does not wait at a FIFO. It is on the hot path: three system calls for a small file.
func (d disk) ReadFile(name string) ([]byte, error) {
	fd, err := syscall.Open(d.path(name), syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: d.path(name), Err: err}
	}
	defer syscall.Close(fd)
	for b := make([]byte, 0, 8<<10); len(b) < maxFileBytes; {
		n, err := syscall.Read(fd, b[len(b):cap(b)])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: d.path(name), Err: err}
		}
		if b = b[:len(b)+n]; n == 0 || len(b) < cap(b) {
			return b, nil // a regular file gives less than asked for only at its end
		}
		b = slices.Grow(b, len(b))
	}
	return nil, &os.PathError{Op: "read", Path: d.path(name), Err: syscall.EFBIG}
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
type flocked struct{ f *os.File }

func (l flocked) Unlock() { l.f.Close() }

// Lock opens and locks until the file it has locked is the file that has the name: locks of downloads are removed by their
// holders.
func (d disk) Lock(ctx context.Context, name string, how LockMode) (Lock, error) {
	for wait := 200 * time.Microsecond; ; wait = min(2*wait, 50*time.Millisecond) {
		l, err := d.tryLock(name, how)
		if err == nil || !errors.Is(err, ErrLocked) || how == TryExclusive {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, &LockedError{Name: d.path(name), Pid: lockHolder(d.path(name)), Err: context.Cause(ctx)}
		case <-time.After(wait):
		}
	}
}

func (d disk) tryLock(name string, how LockMode) (Lock, error) {
	f, err := d.openLock(name)
	if err != nil {
		return nil, fmt.Errorf("opening lock: %w", err)
	}
	op := syscall.LOCK_EX
	if how == Shared {
		op = syscall.LOCK_SH
	}
	if err := flock(f, op|syscall.LOCK_NB); err != nil {
		f.Close()
		if err == syscall.EWOULDBLOCK {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("locking %q: %w", d.path(name), err)
	}
	if !sameFile(f, d.path(name)) {
		f.Close()
		return nil, ErrLocked
	}
	return flocked{f}, nil
}

func (d disk) openLock(name string) (*os.File, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.EROFS) {
		return os.OpenFile(d.path(name), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	}
	return f, err
}

func flock(f *os.File, op int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), op); err != syscall.EINTR {
			return err
		}
	}
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}
