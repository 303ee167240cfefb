package portable

import (
	"syscall"
	"unsafe"
)

// A call is spawn's form of a system call: 80 bytes.
type call struct {
	number           uint64
	args             [6]uint64
	save             uint64 // where the result is kept; 0 for nowhere
	nonZero, onError uint64 // the calls that follow a result other than 0, and an error; 0 for the next
}

// Pseudo call numbers; see package spawn.
const (
	decimal = ^uint64(0)
	load    = ^uint64(0) - 1
)

const shareMemory = 0x100 // CLONE_VM

// interpret runs the calls from the first on, in a process of one thread, and never returns.
//
//go:nosplit
//go:norace
func (inv *invocation) interpret() {
	c := callAt(uint64(inv.field[fieldFirst]))
	for {
		var result uintptr
		var e syscall.Errno
		switch c.number {
		case decimal:
			digits(c.args[0], uintptr(c.args[1]))
			c = c.next()
			continue
		case load:
			result = uintptr(*wordAt(c.args[0]))
		case sysClone3:
			*wordAt(c.args[0]) &^= shareMemory // two processes on one Go stack would not go well
			fallthrough
		default:
			result, _, e = c.run()
		}
		switch {
		case e != 0 && c.onError != 0:
			c = callAt(c.onError)
			continue
		case e != 0:
			inv.fail(c, e)
		case c.save != 0:
			*wordAt(c.save) = uint64(result)
		}
		if c.nonZero != 0 && result != 0 {
			c = callAt(c.nonZero)
		} else {
			c = c.next()
		}
	}
}

//go:nosplit
//go:norace
func (c *call) run() (uintptr, uintptr, syscall.Errno) {
	a := &c.args
	return syscall.RawSyscall6(uintptr(c.number), uintptr(a[0]), uintptr(a[1]), uintptr(a[2]), uintptr(a[3]), uintptr(a[4]), uintptr(a[5]))
}

//go:nosplit
//go:norace
func (c *call) next() *call { return (*call)(unsafe.Add(unsafe.Pointer(c), unsafe.Sizeof(*c))) }

// fail reports a call's failure and ends the process.
//
//go:nosplit
//go:norace
func (inv *invocation) fail(c *call, e syscall.Errno) {
	record := [2]uint64{uint64(e), uint64(uintptr(unsafe.Pointer(c)))}
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, inv.field[fieldReport], uintptr(unsafe.Pointer(&record)), unsafe.Sizeof(record))
	end(127)
}

// digits writes n in decimal, leftwards, ending before the address last.
//
//go:nosplit
//go:norace
func digits(n uint64, last uintptr) {
	for {
		last--
		*(*byte)(pointer(last)) = byte('0' + n%10)
		if n /= 10; n == 0 {
			return
		}
	}
}

//go:nosplit
//go:norace
func callAt(addr uint64) *call { return (*call)(pointer(uintptr(addr))) }

//go:nosplit
//go:norace
func wordAt(addr uint64) *uint64 { return (*uint64)(pointer(uintptr(addr))) }

// pointer makes a pointer of an address in memory that is not Go's.
//
//go:nosplit
//go:norace
func pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }
