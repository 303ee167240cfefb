package files

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/sys"
)

// assemble mounts a container's layers and volumes in this process's own mount namespace and opens the root. Without
// Change its upper directory is one more layer, so that a container may run meanwhile.
func (q *request) assemble() (*os.File, error) {
	if q.Kind == spec.Fuse {
		return nil, errors.New("the files of a stopped container cannot be reached with fuse-overlayfs: start it first")
	}
	var root *os.File
	var err error
	for i, t := range q.Trees {
		if i == 0 {
			root, err = q.base(t)
		} else {
			err = q.mountTree(root, t)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, m := range q.Mounts {
		if m.Type == spec.Tmpfs {
			continue
		}
		if err := q.makeTarget(root, m); err != nil {
			return nil, err
		}
		if err := bind(root, m); err != nil {
			return nil, err
		}
	}
	return root, nil
}

// base mounts the first tree.
func (q *request) base(t spec.Tree) (*os.File, error) {
	if q.Kind == spec.Copy {
		return openDir(t.Upper)
	}
	fs, err := q.overlay(t)
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	at, err := os.OpenFile(q.Mnt, sys.OPath|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	if err := sys.MoveMount(fs, at); err != nil {
		return nil, fmt.Errorf("mounting the container's root: %w", err)
	}
	return openDir(q.Mnt)
}

func openDir(path string) (*os.File, error) {
	return os.OpenFile(path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
}

func (q *request) overlay(t spec.Tree) (*os.File, error) {
	if q.Change {
		return sys.OverlayMount(t.Lower, t.Upper, t.Work)
	}
	return sys.OverlayMount(append([]string{t.Upper}, t.Lower...), "", "")
}

// mountTree mounts a further tree on its directory in the root.
func (q *request) mountTree(root *os.File, t spec.Tree) error {
	fs, err := q.overlay(t)
	if err != nil {
		return err
	}
	defer fs.Close()
	at, err := sys.OpenInRoot(sys.FD(root), strings.TrimPrefix(t.Target, "/"), sys.OPath|syscall.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("mounting %q: %w", t.Target, err)
	}
	defer at.Close()
	return sys.MoveMount(fs, at)
}

// makeTarget makes a directory to mount on, as the container's start does.
func (q *request) makeTarget(root *os.File, m spec.Mount) error {
	if !q.Change || m.File {
		return nil
	}
	top, err := openDir("/proc/self/fd/" + strconv.Itoa(sys.FD(root)))
	if err != nil {
		return err
	}
	d := tree.FromFile(top)
	defer d.Close()
	made, err := tree.MkdirAll(d, m.Target, tree.Owner{}, 0o755, tree.Kernel{}, nil)
	if err != nil {
		return fmt.Errorf("making %q: %w", m.Target, err)
	}
	return made.Close()
}

// bind mounts a volume where the container has it. A target that is not there has nothing in it either.
func bind(root *os.File, m spec.Mount) error {
	at, err := sys.OpenInRoot(sys.FD(root), strings.TrimPrefix(m.Target, "/"), sys.OPath)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mounting %q: %w", m.Target, err)
	}
	defer at.Close()
	if _, err := os.Stat(m.Source); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	target := "/proc/self/fd/" + strconv.Itoa(sys.FD(at))
	if err := syscall.Mount(m.Source, target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("mounting %q: %w", m.Target, err)
	}
	if !m.ReadOnly {
		return nil
	}
	again, err := sys.OpenInRoot(sys.FD(root), strings.TrimPrefix(m.Target, "/"), sys.OPath) // the mount, not what it covers
	if err != nil {
		return err
	}
	defer again.Close()
	target = "/proc/self/fd/" + strconv.Itoa(sys.FD(again))
	if err := syscall.Mount("", target, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY|keptFlags(again), ""); err != nil {
		return fmt.Errorf("making %q read-only: %w", m.Target, err)
	}
	return nil
}

// keptFlags are the flags of a mount that a remount in a user namespace must not drop (mount_namespaces(7), locked flags).
func keptFlags(f *os.File) (flags uintptr) {
	var st syscall.Statfs_t
	if syscall.Fstatfs(sys.FD(f), &st) != nil {
		return 0
	}
	for bit, flag := range map[int64]uintptr{2: syscall.MS_NOSUID, 4: syscall.MS_NODEV, 8: syscall.MS_NOEXEC, 1024: syscall.MS_NOATIME, 2048: syscall.MS_NODIRATIME, 4096: syscall.MS_RELATIME} {
		if st.Flags&bit != 0 { // ST_… of statfs(2)
			flags |= flag
		}
	}
	return flags
}
