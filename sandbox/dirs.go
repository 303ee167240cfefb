package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Dirs are the two places of a user's state.
type Dirs struct {
	Data string // what lasts
	Run  string // sockets and process files of this boot; everything in it can be made again
	UID  int    // who must own both
	GID  int
}

// A placeError says why a directory cannot be used, and what helps.
type placeError struct {
	what, hint string
	err        error
}

func (e *placeError) Error() string   { return e.what + ": " + e.err.Error() }
func (e *placeError) Unwrap() error   { return e.err }
func (e *placeError) Hints() []string { return []string{e.hint} }

// Locate chooses the directories from the environment: root (--root) or MOSS_ROOT, else $XDG_DATA_HOME/moss, else
// ~/.local/share/moss; as real root /var/lib/moss. The owner is the user, for real root the first id of root's range.
func Locate(root string, uid, gid int, realRoot bool) (Dirs, error) {
	d := Dirs{UID: uid, GID: gid, Data: root}
	if d.Data == "" {
		d.Data = os.Getenv("MOSS_ROOT")
	}
	if d.Data == "" {
		var err error
		if d.Data, err = defaultData(realRoot); err != nil {
			return d, err
		}
	}
	var err error
	if d.Data, err = filepath.Abs(d.Data); err != nil {
		return d, fmt.Errorf("data root %q: %w", root, err)
	}
	if err := d.private(d.Data, os.MkdirAll); err != nil {
		return d, &placeError{"data root " + strconv.Quote(d.Data), "name a directory of your own with --root DIR or MOSS_ROOT", err}
	}
	return d, d.runtime(realRoot)
}

func defaultData(realRoot bool) (string, error) {
	if realRoot {
		return "/var/lib/moss", nil
	}
	if x := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(x) {
		return filepath.Join(x, "moss"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil || home == "" {
		return "", &placeError{"finding your home directory", "set HOME, or name a directory with MOSS_ROOT", errors.Join(err, fs.ErrNotExist)}
	}
	return filepath.Join(home, ".local/share/moss"), nil
}

// runtime chooses the runtime directory: $XDG_RUNTIME_DIR/moss, else /tmp/moss-UID. A name in /tmp can be taken by anybody
// first: what is not ours is not used, and a directory in the data root stands in. Another data root than the usual one
// has its own, so that two of them never meet.
func (d *Dirs) runtime(realRoot bool) error {
	usual, _ := defaultData(realRoot)
	if d.Data != usual {
		d.Run = filepath.Join(d.Data, "run")
		return d.private(d.Run, os.Mkdir)
	}
	if realRoot {
		d.Run = "/run/moss"
		return d.private(d.Run, os.MkdirAll)
	}
	if x := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(x) && d.check(x) == nil {
		d.Run = filepath.Join(x, "moss")
		if d.private(d.Run, os.Mkdir) == nil {
			return nil
		}
	}
	d.Run = "/tmp/moss-" + strconv.Itoa(d.UID)
	if d.private(d.Run, os.Mkdir) == nil {
		return nil
	}
	d.Run = filepath.Join(d.Data, "run")
	return d.private(d.Run, os.Mkdir)
}

// private makes a directory for the owner alone, or checks that it is one. A set-user-id file made inside a container is
// one of the user outside, so nobody else may reach it.
func (d *Dirs) private(path string, mkdir func(string, os.FileMode) error) error {
	if err := d.check(path); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) && !halfMade(path) {
		return err
	}
	if err := mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.Own(path); err != nil {
		return err
	}
	return d.check(path)
}

// halfMade tells whether path is what another process of real root has made a moment ago and will give to the first id of its
// range: empty, closed, and still root's.
func halfMade(path string) bool {
	var st syscall.Stat_t
	if syscall.Lstat(path, &st) != nil || st.Mode != syscall.S_IFDIR|0o700 || int(st.Uid) != os.Geteuid() {
		return false
	}
	names, err := os.ReadDir(path)
	return err == nil && len(names) == 0
}

// check tells whether path is a directory that only its owner, this user, can enter. One that others may enter is closed.
func (d *Dirs) check(path string) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return err
	}
	switch {
	case st.Mode&syscall.S_IFMT == syscall.S_IFLNK:
		if err := syscall.Stat(path, &st); err != nil {
			return err
		}
		if int(st.Uid) != d.UID {
			return fmt.Errorf("it belongs to user %d", st.Uid)
		}
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
		return syscall.ENOTDIR
	case int(st.Uid) != d.UID:
		return fmt.Errorf("it belongs to user %d", st.Uid)
	}
	if st.Mode&0o077 != 0 {
		return os.Chmod(path, 0o700)
	}
	return nil
}

// Own gives a file that this process made to the owner of the state: nothing to do but for real root.
func (d *Dirs) Own(path string) error {
	if d.UID == os.Geteuid() {
		return nil
	}
	return os.Lchown(path, d.UID, d.GID)
}

// Mkdir makes a directory of the state.
func (d *Dirs) Mkdir(path string, mode os.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	return d.Own(path)
}

// Ensure is Mkdir for a directory that may be there.
func (d *Dirs) Ensure(path string) error {
	err := d.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Containers, Names and Mnt are directories of the state.
func (d *Dirs) Containers() string { return d.Data + "/containers" }

// Names is where a container's name leads to its id.
func (d *Dirs) Names() string { return d.Data + "/container-names" }

// Mnt is the empty directory on which each maker mounts its root, in mounts of its own.
func (d *Dirs) Mnt() string { return d.Data + "/mnt" }

// Supervisor is the supervisor's socket.
func (d *Dirs) Supervisor() string { return d.Run + "/supervisor" }
