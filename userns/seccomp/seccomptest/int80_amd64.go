package seccomptest

import (
	"runtime/debug"
	"syscall"
)

// HasI386 tells whether int 0x80 enters the kernel here: without CONFIG_IA32_EMULATION, or with ia32_emulation=0 on its
// command line, the instruction is a fault.
func HasI386() (has bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { has = recover() == nil }()
	int80(20, 0, 0, 0, 0, 0) // getpid
	return true
}

// Int80 enters the kernel through the i386 door: number and arguments are i386's. Pointers cannot be passed but low ones.
//
// Must: HasI386.
func Int80(number, a, b, c, d, e uintptr) (result uintptr, errno syscall.Errno) {
	r := int32(int80(number, a, b, c, d, e))
	if r < 0 && r > -4096 {
		return ^uintptr(0), syscall.Errno(-r)
	}
	return uintptr(r), 0
}

func int80(number, a, b, c, d, e uintptr) uintptr
