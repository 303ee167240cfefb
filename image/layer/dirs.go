package layer

import (
	"errors"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// dirs is the way from the root to the directory the last entry was in, every step an open handle. Each component is
// opened below its parent's handle without following links, so nothing outside can be reached and nothing needs openat2;
// entries come sorted by directory, so most cost no opening at all.
type dirs struct {
	way []dir // way[0] is the root
}

type dir struct {
	fd      int
	name    string
	sec     int64 // modification time to restore once its content is complete
	nsec    int64
	touched bool
}

const openDir = syscall.O_RDONLY | syscall.O_DIRECTORY

func newDirs(rootfd int) (*dirs, error) {
	fd, err := sys.OpenBeside(rootfd, ".", openDir, 0)
	if err != nil {
		return nil, err
	}
	d := &dirs{}
	return d, d.push(fd, "")
}

func (d *dirs) push(fd int, name string) error {
	var st sys.Stat
	if err := sys.StatBeside(fd, "", &st); err != nil {
		syscall.Close(fd)
		return err
	}
	d.way = append(d.way, dir{fd: fd, name: name, sec: st.Mtim.Sec, nsec: st.Mtim.Nsec})
	return nil
}

// pop leaves the last directory and gives it back the time it had before entries were made in it.
func (d *dirs) pop() error {
	last := d.way[len(d.way)-1]
	d.way = d.way[:len(d.way)-1]
	var err error
	if last.touched {
		err = sys.TimesBeside(last.fd, "", last.sec, last.nsec)
	}
	syscall.Close(last.fd)
	return err
}

// close leaves all directories; the first error counts.
func (d *dirs) close() error {
	var first error
	for len(d.way) > 0 {
		if err := d.pop(); first == nil {
			first = err
		}
	}
	return first
}

func (d *dirs) top() *dir { return &d.way[len(d.way)-1] }

// enter goes to a directory, making what is missing on the way.
func (d *dirs) enter(path []string) (*dir, error) {
	same := 0
	for same < len(path) && same+1 < len(d.way) && d.way[same+1].name == path[same] {
		same++
	}
	for len(d.way) > same+1 {
		if err := d.pop(); err != nil {
			return nil, err
		}
	}
	for _, name := range path[same:] {
		fd, err := d.step(name)
		if err != nil {
			return nil, err
		}
		if err := d.push(fd, name); err != nil {
			return nil, err
		}
	}
	return d.top(), nil
}

// step opens one directory below the top one. A directory no entry described is root's, 0755, of 1970; a whiteout in its
// place meant what lies below in other layers and becomes an opaque directory.
func (d *dirs) step(name string) (int, error) {
	parent := d.top()
	fd, err := sys.OpenBeside(parent.fd, name, openDir, 0)
	switch err {
	case nil:
		return fd, nil
	case syscall.ENOENT:
	case syscall.ENOTDIR, syscall.ELOOP:
		if !isWhiteout(parent.fd, name) {
			return -1, ErrThrough
		}
	default:
		return -1, err
	}
	if fd, err = makeDir(parent, name); err != nil {
		return -1, err
	}
	if err := errors.Join(chmod(fd, 0o755), sys.TimesBeside(fd, "", 0, 0)); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// find opens an existing directory for reading, without making or remembering anything.
func (d *dirs) find(path []string) (int, error) {
	fd, err := sys.OpenBeside(d.way[0].fd, ".", openDir, 0)
	for _, name := range path {
		if err != nil {
			return -1, err
		}
		parent := fd
		fd, err = sys.OpenBeside(parent, name, openDir, 0)
		syscall.Close(parent)
	}
	return fd, err
}

// makeDir makes or keeps the directory name and opens it. What is no directory gives way; a whiteout leaves it opaque.
func makeDir(parent *dir, name string) (int, error) {
	parent.touched = true
	opaque := false
	err := sys.MkdirBeside(parent.fd, name, 0o700)
	if err == syscall.EEXIST {
		var st sys.Stat
		if err := sys.StatBeside(parent.fd, name, &st); err != nil {
			return -1, err
		}
		err = nil
		if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			opaque = whiteoutStat(&st)
			err = sys.UnlinkBeside(parent.fd, name)
			if err == nil {
				err = sys.MkdirBeside(parent.fd, name, 0o700)
			}
		}
	}
	if err != nil {
		return -1, err
	}
	fd, err := sys.OpenBeside(parent.fd, name, openDir, 0)
	if err == nil && opaque {
		if err = setOpaque(fd); err != nil {
			syscall.Close(fd)
		}
	}
	return fd, err
}

func chmod(fd int, mode uint32) error { return syscall.Fchmod(fd, mode) }
