package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// copyLayers lays the layers (top first) of an image over each other in dir, below target only. It runs in a worker: names
// are resolved inside each layer, entries are made by handle, and nobody else writes to dir meanwhile.
func copyLayers(lower []string, target, dir string) error {
	dst, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer dst.Close()
	rel := strings.TrimPrefix(path.Clean("/"+target), "/")
	if rel == "" {
		rel = "."
	}
	for i := len(lower) - 1; i >= 0; i-- {
		if err := copyLayer(lower[i], rel, dst); err != nil {
			return err
		}
	}
	return nil
}

// copyLayer copies one layer's directory rel.
func copyLayer(layer, rel string, dst *os.Root) error {
	top, err := os.Open(layer)
	if err != nil {
		return err
	}
	defer top.Close()
	src, err := sys.OpenInRoot(int(top.Fd()), rel, syscall.O_RDONLY|syscall.O_DIRECTORY)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer src.Close()
	return copyDir(src, ".", dst)
}

// copyDir copies the entries of an open directory to name below dst, and its own attributes.
func copyDir(src *os.File, name string, dst *os.Root) error {
	if opaque(src) {
		if err := clear(dst, name); err != nil {
			return err
		}
	}
	entries, err := src.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := copyEntry(src, e.Name(), path.Join(name, e.Name()), dst); err != nil {
			return fmt.Errorf("copying %q: %w", path.Join(name, e.Name()), err)
		}
	}
	st, err := src.Stat()
	if err != nil {
		return err
	}
	return attributes(st, name, dst)
}

func opaque(dir *os.File) bool {
	buf := make([]byte, 1)
	n, err := sys.Fgetxattr(int(dir.Fd()), "user.overlay.opaque", buf)
	return err == nil && n == 1 && buf[0] == 'y'
}

func clear(dst *os.Root, name string) error {
	d, err := dst.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := dst.RemoveAll(path.Join(name, n)); err != nil {
			return err
		}
	}
	return nil
}

// copyEntry copies one entry; a whiteout (a device 0:0, overlayfs) removes what lower layers have.
func copyEntry(dir *os.File, entry, name string, dst *os.Root) error {
	src, err := sys.OpenBeneath(int(dir.Fd()), entry, sys.OPath|sys.ONofollow)
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	raw, _ := st.Sys().(*syscall.Stat_t)
	have, err := dst.Lstat(name)
	if err == nil && !(have.IsDir() && st.IsDir()) {
		if err := dst.RemoveAll(name); err != nil {
			return err
		}
	}
	switch mode := st.Mode(); {
	case mode&fs.ModeCharDevice != 0 && raw.Rdev == 0:
		return nil
	case mode.IsDir():
		if err := dst.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		sub, err := sys.OpenBeneath(int(dir.Fd()), entry, syscall.O_RDONLY|syscall.O_DIRECTORY|sys.ONofollow)
		if err != nil {
			return err
		}
		defer sub.Close()
		return copyDir(sub, name, dst)
	case mode&fs.ModeSymlink != 0:
		to, err := sys.ReadlinkFD(int(src.Fd()))
		if err != nil {
			return err
		}
		if err := dst.Symlink(to, name); err != nil {
			return err
		}
		return dst.Lchown(name, int(raw.Uid), int(raw.Gid))
	case mode.IsRegular():
		if err := copyFile(dir, entry, name, dst); err != nil {
			return err
		}
		return attributes(st, name, dst)
	}
	return nil // sockets, pipes and devices of an image are made anew by who needs them
}

func copyFile(dir *os.File, entry, name string, dst *os.Root) error {
	in, err := sys.OpenBeneath(int(dir.Fd()), entry, syscall.O_RDONLY|sys.ONofollow)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := dst.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if sys.Reflink(int(out.Fd()), int(in.Fd())) == nil {
		return out.Close()
	}
	_, err = io.Copy(out, in) // copy_file_range(2)
	return errors.Join(err, out.Close())
}

// attributes sets owner, mode and times, in this order: chown takes the set-id bits away.
func attributes(st fs.FileInfo, name string, dst *os.Root) error {
	raw, _ := st.Sys().(*syscall.Stat_t)
	if err := dst.Chown(name, int(raw.Uid), int(raw.Gid)); err != nil {
		return err
	}
	if err := dst.Chmod(name, st.Mode()); err != nil {
		return err
	}
	return dst.Chtimes(name, st.ModTime(), st.ModTime())
}
