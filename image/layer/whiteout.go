package layer

import (
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// What overlayfs, mounted with userxattr, takes as whiteout and as opaque directory (Documentation/filesystems/overlayfs.rst).
// A character device 0:0 may be made in a user namespace (mknod(2), Linux 5.8).
const (
	opaqueXattr   = "user.overlay.opaque"
	whiteoutXattr = "user.overlay.whiteout" // on an empty file, Linux 6.7; read, never made
)

func isWhiteout(dirfd int, name string) bool {
	var st sys.Stat
	return sys.StatBeside(dirfd, name, &st) == nil && whiteoutStat(&st)
}

func whiteoutStat(st *sys.Stat) bool {
	return st.Mode&syscall.S_IFMT == syscall.S_IFCHR && st.Rdev == 0
}

func setOpaque(fd int) error { return sys.Fsetxattr(fd, opaqueXattr, []byte("y")) }

// whiteout handles an entry whose base name begins with .wh.; it tells whether there is nothing more to do.
func (x *extractor) whiteout(parents []string, base string) error {
	switch {
	case base == whOpaque:
		return x.opaque(parents)
	case strings.HasPrefix(base, whMeta):
		return nil
	}
	name := base[len(whPrefix):]
	if name == "" || name == "." || name == ".." {
		return ErrWhiteout
	}
	parent, err := x.dirs.enter(parents)
	if err != nil {
		return err
	}
	var st sys.Stat
	switch err := sys.StatBeside(parent.fd, name, &st); {
	case err == syscall.ENOENT:
		parent.touched = true
		return sys.MknodBeside(parent.fd, name, syscall.S_IFCHR, 0)
	case err != nil:
		return err
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
		return nil // this layer's own file hides what is below already
	}
	return x.opaque(append(parents, name)) // this layer's own directory must hide it
}

// opaque makes a directory hide those of the layers below.
func (x *extractor) opaque(path []string) error {
	d, err := x.dirs.enter(path)
	if err != nil {
		return err
	}
	x.stats.OpaqueRoot = x.stats.OpaqueRoot || len(path) == 0
	return setOpaque(d.fd)
}
