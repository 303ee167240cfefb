package guest

// Kernel constants that package syscall lacks, with their man page.
const (
	parentSetTID = 0x100000    // CLONE_PARENT_SETTID, clone(2)
	cloneVfork   = 0x4000      // CLONE_VFORK
	cloneParent  = 0x8000      // CLONE_PARENT
	cloneFiles   = 0x400       // CLONE_FILES
	intoCgroup   = 0x200000000 // CLONE_INTO_CGROUP, Linux 5.7

	prSetPDeathSig = 1 // prctl(2)
	prSetDumpable  = 4
	prSetKeepCaps  = 8
	prCapBSetDrop  = 24
	prSetNoNewPriv = 38
	prSetSubreaper = 36

	sigSetMask      = 2       // SIG_SETMASK, sigprocmask(2)
	futexCmpRequeue = 4 | 128 // FUTEX_CMP_REQUEUE_PRIVATE, futex(2)

	keyctlJoinSession = 1 // keyctl(2)

	capSetUp     = 0x20080522 // _LINUX_CAPABILITY_VERSION_3, capget(2)
	capSysAdmin  = 1 << 21
	highestCap   = 47 // a few more than any kernel has; dropping an unknown one is EINVAL, and harmless
	knownHighest = 40

	fsconfigFlag   = 0 // fsconfig(2)
	fsconfigString = 1
	fsconfigCreate = 6

	attrReadOnly = 1 // mount_setattr(2)
	attrNoSUID   = 2
	attrNoDev    = 4
	attrNoExec   = 8

	tiocsptlck  = 0x40045431 // ioctl_tty(2)
	tiocgptpeer = 0x5441
	tiocsctty   = 0x540e
	tiocspgrp   = 0x5410
	tiocswinsz  = 0x5414

	siocsifflags = 0x8914 // netdevice(7)
	iffUpRunning = 0x41

	rlimitNproc = 6 // RLIMIT_NPROC, setrlimit(2)

	seccompSetFilter = 1 // seccomp(2)

	pPID    = 1 // P_PID, waitid(2)
	wEXITED = 4
	wNOWAIT = 0x1000000

	atFdcwd = ^uintptr(99) // AT_FDCWD, -100
)
