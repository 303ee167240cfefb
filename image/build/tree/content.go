package tree

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// small is up to which size a file is simply read and written: below it the calls that find holes or share blocks cost more
// than they save.
const small = 64 << 10

// copyContent gives dst, new and empty, the content of src: shared blocks where the file system can, else the data ranges
// inside the kernel, so that holes stay holes.
func copyContent(dst, src *os.File, size int64, buf []byte) error {
	if size == 0 {
		return nil
	}
	if size <= small {
		return copySmall(dst, src, buf)
	}
	if err := sys.Clone(int(dst.Fd()), int(src.Fd())); err == nil {
		return nil
	}
	if err := dst.Truncate(size); err != nil {
		return err
	}
	for from, to, ok := sys.NextData(int(src.Fd()), 0, size); ok; from, to, ok = sys.NextData(int(src.Fd()), to, size) {
		if err := copyRange(dst, src, from, min(to, size), buf); err != nil {
			return err
		}
	}
	return nil
}

func copySmall(dst, src *os.File, buf []byte) error {
	n, err := io.ReadFull(src, buf)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	_, err = dst.Write(buf[:n])
	return err
}

// copyRange copies from..to; a file that became shorter meanwhile ends the copy.
func copyRange(dst, src *os.File, from, to int64, buf []byte) error {
	for from < to {
		n, err := sys.CopyRange(int(dst.Fd()), int(src.Fd()), from, int(min(to-from, 1<<30)))
		if errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
			return copyByHand(dst, src, from, to, buf)
		}
		if err != nil {
			return os.NewSyscallError("copy_file_range", err)
		}
		if n == 0 {
			return nil
		}
		from += int64(n)
	}
	return nil
}

func copyByHand(dst, src *os.File, from, to int64, buf []byte) error {
	w := io.NewOffsetWriter(dst, from)
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, io.NewSectionReader(src, from, to-from), buf)
	return err
}

// foreignXattr tells which attributes are not copied: the overlay's and the emulation's own, and labels of the host.
func foreignXattr(name string) bool {
	return strings.HasPrefix(name, "user.overlay.") || strings.HasPrefix(name, "trusted.") || name == "user.rootlesscontainers" ||
		name == "security.selinux" || name == "security.ima" || name == "security.evm"
}

// copyXattrs copies the extended attributes that the destination can take; a file system or a namespace that refuses one is
// no error, as in BuildKit.
func copyXattrs(dst, src *os.File) error {
	attrs, err := sys.Xattrs(int(src.Fd()))
	if err != nil {
		return nil
	}
	for name, value := range attrs {
		if foreignXattr(name) {
			continue
		}
		if err := sys.SetXattr(int(dst.Fd()), name, value); err != nil && !refused(err) {
			return err
		}
	}
	return nil
}

func refused(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EINVAL)
}
