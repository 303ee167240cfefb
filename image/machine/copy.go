package machine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// engineFiles are written by the engine for every container, by a bind mount over the image's file; a link there, such as
// systemd-resolved's, would lead into the fresh /run.
const engineFiles = "etc/hosts etc/hostname etc/resolv.conf"

// leaf copies what is no directory: files and links; sockets, fifos and devices are left out.
func (b *builder) leaf(p place, path string, e fs.DirEntry) error {
	st, err := sys.LstatAt(int(p.src.Fd()), e.Name())
	if err != nil {
		return ignoreGone(err)
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFLNK:
		return b.link(p, path, e.Name())
	case syscall.S_IFREG:
		b.noteFile(path, st)
		if p.dst == noFD {
			return nil
		}
		if st.Size >= bindAbove && p.rule.do == omitted {
			return b.bind(p, path, e.Name(), st)
		}
		return b.file(p, e.Name(), st.Mode&0o777)
	}
	return nil
}

// link copies a symbolic link.
func (b *builder) link(p place, path, name string) error {
	target, err := sys.ReadlinkAt(int(p.src.Fd()), name)
	if err != nil {
		return ignoreGone(err)
	}
	b.note(path, "-> "+target)
	if p.dst == noFD || listed(engineFiles, path) {
		return nil
	}
	if err := sys.SymlinkAt(target, p.dst, name); err != nil || !b.realRoot {
		return err
	}
	return sys.LchownAt(p.dst, name, b.src.Owner.UID, b.src.Owner.GID)
}

// smallFile copies a file of a tree in place if it is small.
func (b *builder) smallFile(p place, path string, e fs.DirEntry) error {
	if info, err := e.Info(); err != nil || info.Size() >= p.rule.below {
		return nil
	}
	return b.leaf(p, path, e)
}

// blank makes an empty file in place of the source's.
func (b *builder) blank(p place, path, name string, mode uint32) error {
	b.note(path, "blank")
	if p.dst == noFD {
		return nil
	}
	return b.write(p.dst, name, strings.NewReader(""), mode, time.Time{})
}

// bind shows a big lone file where it is.
func (b *builder) bind(p place, path, name string, st sys.Stat) error {
	if !b.mayRead(st) {
		return nil
	}
	b.root.Binds = append(b.root.Binds, Bind{Source: b.outside(path), Target: "/" + path, ReadOnly: true})
	return b.write(p.dst, name, strings.NewReader(""), 0o644, time.Time{})
}

// mayRead tells whether an account without rights of its own may read the file; others find out by opening it.
func (b *builder) mayRead(st sys.Stat) bool { return !b.realRoot || st.Mode&0o004 != 0 }

// file copies a regular file as far as it is readable: one that is not is left out.
func (b *builder) file(p place, name string, mode uint32) error {
	fd, err := sys.OpenAt(int(p.src.Fd()), name, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ignoreGone(err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	st, err := sys.Fstat(fd)
	if err != nil {
		return err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG || !b.mayRead(st) {
		return nil
	}
	return b.write(p.dst, name, f, mode, time.Unix(st.Mtim.Unix()))
}

// write makes a file of root's inside. Without a time it is as young as it is.
func (b *builder) write(at int, name string, content io.Reader, mode uint32, modified time.Time) error {
	fd, err := sys.OpenAt(at, name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), name)
	defer out.Close()
	if err := fill(out, content); err != nil {
		return fmt.Errorf("copying %q: %w", name, err)
	}
	if err := b.give(fd); err != nil {
		return err
	}
	if err := syscall.Fchmod(fd, mode); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	if !modified.IsZero() {
		_ = sys.SetModTime(fd, modified) // a convenience: ucf and make compare times
	}
	return nil
}

// fill shares blocks where the file system can.
func fill(out *os.File, content io.Reader) error {
	if in, ok := content.(*os.File); ok && sys.Clone(int(out.Fd()), int(in.Fd())) == nil {
		return nil
	}
	_, err := io.Copy(out, content)
	return err
}

// setIDs copies the set-id programs of a directory. Set-user-id root stays; set-group-id does not, since root's is the only
// group that copies can have.
func (b *builder) setIDs(p place, entries []fs.DirEntry) error {
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		st, err := sys.LstatAt(int(p.src.Fd()), e.Name())
		if err != nil || st.Mode&(syscall.S_ISUID|syscall.S_ISGID) == 0 {
			continue
		}
		mode := st.Mode & 0o777
		if st.Uid == 0 {
			mode |= st.Mode & syscall.S_ISUID
		}
		if err := b.file(p, e.Name(), mode); err != nil {
			return err
		}
	}
	return nil
}

// ignoreGone drops errors about files that are unreadable or have vanished meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) {
		return nil
	}
	return err
}
