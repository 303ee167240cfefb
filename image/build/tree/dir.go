package tree

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// A Dir is an open directory. Its methods take single names.
type Dir struct {
	f    *os.File
	path string // for messages, relative to the tree's root
}

// Open opens a tree's root. The path is the caller's own; what lies below it is foreign.
func Open(root string) (*Dir, error) {
	f, err := os.OpenFile(root, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{f: f}, nil
}

// FromFile makes a tree's root of an open directory; the Dir owns it from then on.
func FromFile(f *os.File) *Dir { return &Dir{f: f} }

// Close closes the directory.
func (d *Dir) Close() error { return d.f.Close() }

// File returns the open directory; it stays the Dir's.
func (d *Dir) File() *os.File { return d.f }

func (d *Dir) fd() int { return int(d.f.Fd()) }

// Sub opens the directory name in d, not through a link.
func (d *Dir) Sub(name string) (*Dir, error) {
	fd, err := sys.OpenAt(d.fd(), name, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, d.in(err)
	}
	p := path.Join(d.path, name)
	return &Dir{f: os.NewFile(uintptr(fd), p), path: p}, nil
}

// At opens the directory that path leads to inside the tree whose root d is: links are followed, never outside.
func (d *Dir) At(p string) (*Dir, error) {
	f, err := sys.OpenInRoot(d.fd(), clean(p), syscall.O_RDONLY|syscall.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &Dir{f: f, path: path.Join(d.path, strings.TrimPrefix(clean(p), "/"))}, nil
}

// Path is where d lies below its tree's root, without a slash in front, as far as links did not lead elsewhere.
func (d *Dir) Path() string { return d.path }

// Stat describes name in d without following it.
func (d *Dir) Stat(name string) (sys.Stat, error) {
	st, err := sys.LstatAt(d.fd(), name)
	if err != nil {
		return st, d.in(err)
	}
	return st, nil
}

// Names lists d, sorted by bytes.
func (d *Dir) Names() ([]string, error) {
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	names, err := d.f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("listing %q: %w", "/"+d.path, err)
	}
	slices.Sort(names)
	return names, nil
}

// Regular opens a regular file for reading; anything else is ErrNotRegular and is not opened.
func (d *Dir) Regular(name string) (*os.File, error) {
	fd, err := sys.OpenAt(d.fd(), name, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ELOOP) {
		return nil, &NotRegularError{path.Join("/", d.path, name)}
	}
	if err != nil {
		return nil, d.in(err)
	}
	st, err := sys.StatFd(fd)
	if err == nil && st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		err = &NotRegularError{path.Join("/", d.path, name)}
	}
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// NotRegularError says that a file which should be read is a link, directory, FIFO, socket or device.
type NotRegularError struct{ Path string }

func (e *NotRegularError) Error() string { return fmt.Sprintf("%q is not a regular file", e.Path) }

// ReadSmall reads a regular file by its path inside the tree whose root d is, at most limit bytes; a longer file, a FIFO or
// a device is an error. It is how foreign passwd files, .dockerignore and Dockerfiles are read (CVE-2024-9676).
func (d *Dir) ReadSmall(p string, limit int64) ([]byte, error) {
	dir, name, err := d.Find(p)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := dir.Regular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%q is longer than %d bytes", p, limit)
	}
	return b, err
}

// Find follows p inside the tree whose root d is, its last link too, and returns the directory and the name that hold what
// it leads to; the name is "." for the root itself. The caller closes the directory.
func (d *Dir) Find(p string) (dir *Dir, name string, err error) {
	real, err := d.Real(p)
	if err != nil {
		return nil, "", err
	}
	parent, name := path.Split(real)
	if dir, err = d.At(parent); err != nil {
		return nil, "", err
	}
	if name == "" {
		return dir, ".", nil
	}
	if _, err := dir.Stat(name); err != nil {
		dir.Close()
		return nil, "", err
	}
	return dir, name, nil
}

// maxLinks is the kernel's MAXSYMLINKS.
const maxLinks = 40

// Real resolves the links in p inside the tree whose root d is. What does not exist is kept as written. The result begins
// with "/" and has no link in it, as long as nobody changes the tree; using it with At stays inside the tree whatever
// happens.
func (d *Dir) Real(p string) (string, error) {
	todo := strings.Split(strings.Trim(clean(p), "/"), "/")
	real, links := "/", 0
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			real = path.Dir(real)
			continue
		}
		target, err := d.link(real, name)
		if err != nil {
			return "", err
		}
		if target == "" {
			real = path.Join(real, name)
			continue
		}
		if links++; links > maxLinks {
			return "", &os.PathError{Op: "open", Path: p, Err: syscall.ELOOP}
		}
		if path.IsAbs(target) {
			real = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return real, nil
}

// link returns the target of a link, and nothing of what is no link or does not exist.
func (d *Dir) link(dir, name string) (string, error) {
	parent, err := sys.OpenInRoot(d.fd(), dir, sys.OPath|syscall.O_DIRECTORY)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer parent.Close()
	target, err := sys.ReadlinkAt(int(parent.Fd()), name)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOENT) {
		return "", nil
	}
	return target, err
}

func (d *Dir) in(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return &os.PathError{Op: p.Op, Path: path.Join("/", d.path, p.Path), Err: p.Err}
	}
	return err
}

func clean(p string) string { return path.Clean("/" + p) }

// plain opens the directory of p without following any link, and returns p's last name.
func (d *Dir) plain(p string) (*Dir, string, error) {
	at, err := d.At("/")
	if err != nil {
		return nil, "", err
	}
	parent, name := path.Split(clean(p))
	for _, part := range strings.FieldsFunc(parent, func(r rune) bool { return r == '/' }) {
		next, err := at.Sub(part)
		at.Close()
		if err != nil {
			return nil, "", err
		}
		at = next
	}
	if name == "" {
		name = "."
	}
	return at, name, nil
}
