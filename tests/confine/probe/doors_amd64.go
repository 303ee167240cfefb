package main

import (
	"syscall"

	"github.com/moss-sandbox/moss/userns/seccomp/seccomptest"
)

// door is one way into the kernel.
type door struct {
	abi, prefix string
	call        func(number uintptr, args [5]uintptr) error
}

func doors() []door {
	native := func(number uintptr, a [5]uintptr) error {
		_, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], 0)
		return errno
	}
	all := []door{{"native", "", native}, {"x32", "x32 ", native}}
	if seccomptest.HasI386() {
		all = append(all, door{"i386", "i386 ", func(number uintptr, a [5]uintptr) error {
			_, errno := seccomptest.Int80(number, a[0], a[1], a[2], a[3], a[4])
			return errno
		}})
	}
	return all
}
