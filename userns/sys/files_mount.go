package sys

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OverlayMount makes a detached overlay and returns the mount's descriptor, which move_mount(2) takes; once it is closed
// the mount has no place any more. Otherwise it is as Overlay.
func OverlayMount(lowers []string, upper, work string) (*os.File, error) {
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
	return os.NewFile(uintptr(mnt), "overlay"), nil
}

// MoveMount puts a detached mount on what another descriptor stands for.
func MoveMount(mnt, at *os.File) error {
	err := unix.MoveMount(FD(mnt), "", FD(at), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	return os.NewSyscallError("move_mount", err)
}
