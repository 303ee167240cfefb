package sys

import "golang.org/x/sys/unix"

// Numbers of system calls that package syscall lacks.
const (
	SYS_SETNS         = unix.SYS_SETNS
	SYS_CLOSE_RANGE   = unix.SYS_CLOSE_RANGE
	SYS_OPEN_TREE     = unix.SYS_OPEN_TREE
	SYS_MOVE_MOUNT    = unix.SYS_MOVE_MOUNT
	SYS_FSOPEN        = unix.SYS_FSOPEN
	SYS_FSCONFIG      = unix.SYS_FSCONFIG
	SYS_FSMOUNT       = unix.SYS_FSMOUNT
	SYS_MOUNT_SETATTR = unix.SYS_MOUNT_SETATTR
	SYS_OPENAT2       = unix.SYS_OPENAT2
	SYS_CLONE3        = unix.SYS_CLONE3
	SYS_PIDFD_OPEN    = unix.SYS_PIDFD_OPEN
	SYS_EXECVEAT      = unix.SYS_EXECVEAT
	SYS_SECCOMP       = unix.SYS_SECCOMP
	SYS_PPOLL         = unix.SYS_PPOLL
	SYS_KEYCTL        = unix.SYS_KEYCTL
	SYS_DUP3          = unix.SYS_DUP3
	SYS_SENDMSG       = unix.SYS_SENDMSG
	SYS_RECVMSG       = unix.SYS_RECVMSG
	SYS_PIPE2         = unix.SYS_PIPE2
	SYS_PRLIMIT64     = unix.SYS_PRLIMIT64
)

// SYS_PAUSE is a call that waits for a signal: ppoll(2) without descriptors, since not every architecture has pause(2).
const SYS_PAUSE = unix.SYS_PPOLL

// PauseArgs are the arguments with which SYS_PAUSE waits for ever.
func PauseArgs() []uintptr { return []uintptr{0, 0, 0, 0, 8} }

// CloseRangeCloexec is CLOSE_RANGE_CLOEXEC of close_range(2), Linux 5.11.
const CloseRangeCloexec = unix.CLOSE_RANGE_CLOEXEC
