package portable

import (
	"syscall"
	"unsafe"
)

// Numbers that package syscall lacks: new calls have had one number on all architectures but Alpha and MIPS since Linux 5.1.
const (
	sysClone3     = 435
	sysCloseRange = 436

	mapFixedNoReplace = 0x100000 // MAP_FIXED_NOREPLACE, Linux 4.17
	setMask           = 2        // SIG_SETMASK
	signals           = 64
)

// Become runs the list for which this process was started, and does not return then; else it does nothing. It is to be
// called before anything else: the list's process gets this one's descriptors and limits as they are.
func Become() {
	v, ok := syscall.Getenv(variable)
	if !ok {
		return
	}
	inv, ok := decode(v)
	if !ok {
		return
	}
	e := inv.load()
	var pid uintptr
	if e == 0 {
		pid, e = inv.fork()
	}
	answer := [2]uint64{uint64(pid), uint64(e)}
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, inv.pipe(), uintptr(unsafe.Pointer(&answer)), unsafe.Sizeof(answer))
	end(0)
}

// load places calls and data in shared memory.
func (inv *invocation) load() syscall.Errno {
	f := &inv.field
	if e := inv.place(f[fieldOps], f[fieldOpsSize], 0); e != 0 {
		return e
	}
	return inv.place(f[fieldData], f[fieldDataSize], f[fieldOpsSize])
}

// place maps memory at addr and reads size bytes of the list's file into it.
func (inv *invocation) place(addr, size, offset uintptr) syscall.Errno {
	const flags = syscall.MAP_SHARED | syscall.MAP_ANON | mapFixedNoReplace
	got, _, e := syscall.RawSyscall6(syscall.SYS_MMAP, addr, max(size, 1), syscall.PROT_READ|syscall.PROT_WRITE, flags, ^uintptr(0), 0)
	if e == 0 && got != addr { // a kernel that does not know the flag
		e = syscall.EEXIST
	}
	for e == 0 && size > 0 {
		var n uintptr
		n, _, e = syscall.RawSyscall6(syscall.SYS_PREAD64, inv.list(), addr, size, offset, 0, 0)
		if e == 0 && n == 0 {
			e = syscall.EIO
		}
		addr, size, offset = addr+n, size-n, offset+n
	}
	return e
}

// fork clones the list's process as a child of this one's parent. Signals are blocked until it has no handlers any more:
// these are Go's, and would run on a dead runtime.
//
//go:nosplit
//go:norace
func (inv *invocation) fork() (uintptr, syscall.Errno) {
	all, mask := ^uint64(0), uint64(0)
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&mask)), 8, 0, 0)
	pid, _, e := syscall.RawSyscall6(syscall.SYS_CLONE, syscall.CLONE_PARENT|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 || pid != 0 {
		return pid, e
	}
	inv.prepare(&mask)
	inv.interpret()
	return 0, 0
}

// prepare makes the process what execve(2) would have made it. Here no runtime is alive any more.
//
//go:nosplit
//go:norace
func (inv *invocation) prepare(mask *uint64) {
	defaultSignals()
	if inv.field[fieldSetsid] != 0 {
		_, _, _ = syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0)
	}
	_, _, _ = syscall.RawSyscall(sysCloseRange, inv.list(), 1<<32-1, 0)
	for fd := uintptr(0); fd < inv.list(); fd++ { // the runtime opens 0, 1 and 2 where they are closed
		if inv.closed[fd/64]>>(fd%64)&1 != 0 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
		}
	}
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(mask)), 0, 8, 0, 0)
}

// defaultSignals takes off the runtime's handlers. What was ignored stays ignored.
//
//go:nosplit
//go:norace
func defaultSignals() {
	for sig := uintptr(1); sig <= signals; sig++ {
		var old, none [4]uint64 // struct sigaction; the handler is its first word
		_, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0)
		if e == 0 && old[0] > 1 { // neither SIG_DFL nor SIG_IGN
			_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&none)), 0, 8, 0, 0)
		}
	}
}

//go:nosplit
//go:norace
func end(code uintptr) {
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, code, 0, 0)
	}
}
