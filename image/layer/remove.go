package layer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// maxRemoveDepth bounds the descriptors RemoveTree keeps; what lies deeper is first moved up.
const maxRemoveDepth = 64

// RemoveTree removes name in dirfd and all below it, by handles, never following a link; nothing there is no error. It
// copes with directories nobody may enter (overlayfs leaves work/work with mode 000), with files of other ids when it runs
// inside the user namespace that maps them, and with trees deeper than there are descriptors.
func RemoveTree(dirfd int, name string) error {
	err := sys.UnlinkBeside(dirfd, name)
	switch err {
	case nil, syscall.ENOENT:
		return nil
	case syscall.EISDIR, syscall.EPERM: // EPERM is POSIX's word for a directory
	default:
		return fmt.Errorf("removing %q: %w", name, err)
	}
	r := &remover{topfd: dirfd}
	return r.dir(dirfd, name, 0)
}

// remover is one removal. topfd is a directory on the same file system in which too deep directories find a place.
type remover struct {
	topfd int
	moved int
}

// dir removes a directory, or a file that is immutable.
func (r *remover) dir(parent int, name string, depth int) error {
	if depth >= maxRemoveDepth {
		return r.shallow(parent, name)
	}
	fd, err := openToRemove(parent, name)
	if err == syscall.ENOTDIR || err == syscall.ELOOP {
		return r.stubborn(parent, name)
	}
	if err == syscall.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening %q to remove it: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err := r.content(f, depth); err != nil {
		return err
	}
	err = sys.RmdirBeside(parent, name)
	if err == syscall.EPERM || err == syscall.EACCES {
		if cleared, _ := sys.ImmutableFlags(parent); cleared {
			err = sys.RmdirBeside(parent, name)
		}
	}
	if err != nil && err != syscall.ENOENT {
		return fmt.Errorf("removing directory %q: %w", name, err)
	}
	return nil
}

// openToRemove opens a directory; where its mode forbids even its owner, the mode is changed first.
func openToRemove(parent int, name string) (int, error) {
	fd, err := sys.OpenBeside(parent, name, openDir, 0)
	if err != syscall.EACCES {
		return fd, err
	}
	var st sys.Stat
	if err := sys.StatBeside(parent, name, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return -1, errors.Join(err, syscall.ENOTDIR)
	}
	if err := sys.ChmodBeside(parent, name, 0o700); err != nil {
		return -1, err
	}
	return sys.OpenBeside(parent, name, openDir, 0)
}

// content removes all entries, reading them in portions; a second look catches what a directory that shrinks has skipped.
func (r *remover) content(f *os.File, depth int) error {
	fd := int(f.Fd())
	unlocked := false
	for {
		names, err := f.Readdirnames(1024)
		for _, n := range names {
			err := sys.UnlinkBeside(fd, n)
			if (err == syscall.EACCES || err == syscall.EPERM) && !unlocked { // mode without w, or flags
				unlocked = true
				_ = syscall.Fchmod(fd, 0o700)
				_, _ = sys.ImmutableFlags(fd)
				err = sys.UnlinkBeside(fd, n)
			}
			if err == nil || err == syscall.ENOENT {
				continue
			}
			if err != syscall.EISDIR && err != syscall.EPERM {
				return fmt.Errorf("removing %q: %w", n, err)
			}
			if err := r.dir(fd, n, depth+1); err != nil {
				return err
			}
		}
		if err == io.EOF && len(names) == 0 {
			return r.leftovers(f, depth)
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("listing %q: %w", f.Name(), err)
		}
	}
}

// leftovers starts over when the directory is not empty after one pass.
func (r *remover) leftovers(f *os.File, depth int) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := f.Readdirnames(1)
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing %q: %w", f.Name(), err)
	}

	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return r.content(f, depth)
}

// shallow moves a directory that is too deep up to the top and removes it there.
func (r *remover) shallow(parent int, name string) error {
	r.moved++
	up := fmt.Sprintf(".moss-remove-%d-%d", os.Getpid(), r.moved)
	if err := syscall.Renameat(parent, name, r.topfd, up); err != nil {
		_ = sys.ChmodBeside(parent, name, 0o700) // moving changes its "..": the mode must allow writing
		if err := syscall.Renameat(parent, name, r.topfd, up); err != nil {
			return fmt.Errorf("moving %q up to remove it: %w", name, err)
		}
	}
	return r.dir(r.topfd, up, 0)
}

// stubborn is a file that unlink(2) refused: perhaps it is immutable.
func (r *remover) stubborn(parent int, name string) error {
	if fd, err := sys.OpenBeside(parent, name, syscall.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
		_, _ = sys.ImmutableFlags(fd)
		syscall.Close(fd)
	}
	if err := sys.UnlinkBeside(parent, name); err != nil && err != syscall.ENOENT {
		return fmt.Errorf("removing %q: %w", name, err)
	}
	return nil
}
