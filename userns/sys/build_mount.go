package sys

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Overlay mounts an overlay that is nowhere and returns its root, close-on-exec; it ends with the last descriptor below it.
// lowers are directories, top first; with an upper it can be written to. It needs a mount namespace of the caller's own user
// namespace (overlay with userxattr: Linux 5.11; any number and length of lowers: 6.5).
func Overlay(lowers []string, upper, work string) (*os.File, error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen overlay", err)
	}
	defer unix.Close(fs)
	if err := overlaySettings(fs, lowers, upper, work); err != nil {
		return nil, err
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("mounting overlay of %d layers: %w", len(lowers), err)
	}
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fsmount overlay", err)
	}
	defer unix.Close(mnt)
	root, err := unix.Openat(mnt, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("opening overlay", err)
	}
	return os.NewFile(uintptr(root), "overlay"), nil
}

func overlaySettings(fs int, lowers []string, upper, work string) error {
	if err := unix.FsconfigSetFlag(fs, "userxattr"); err != nil {
		return fmt.Errorf("setting userxattr of overlay: %w", err)
	}
	set := [][2]string{}
	if s := strings.Join(lowers, ":"); len(s) < 255 && !strings.ContainsAny(s, `,\`) {
		set = append(set, [2]string{"lowerdir", s})
	} else {
		for _, l := range lowers {
			set = append(set, [2]string{"lowerdir+", l})
		}
	}
	if upper != "" {
		set = append(set, [2]string{"upperdir", upper}, [2]string{"workdir", work})
	}
	for _, kv := range set {
		if err := unix.FsconfigSetString(fs, kv[0], kv[1]); err != nil {
			return fmt.Errorf("setting %s of overlay to %q: %w", kv[0], kv[1], err)
		}
	}
	return nil
}

// IdmappedTree opens a copy of the mount at path, below which the files of uid and gid 0 belong to root of a user namespace
// (mount_setattr(2), MOUNT_ATTR_IDMAP, Linux 5.12; not every file system can). It needs privileges over the file system.
func IdmappedTree(path string, userNS int) (*os.File, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userNS)}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return nil, os.NewSyscallError("mount_setattr", err)
	}
	root, err := unix.Openat(tree, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("opening mapped tree", err)
	}
	return os.NewFile(uintptr(root), path), nil
}
