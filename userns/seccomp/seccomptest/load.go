package seccomptest

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/moss-sandbox/moss/userns/seccomp"
)

// Load sets no_new_privs and loads the filter into the calling thread.
//
// Must: the goroutine is locked to its thread and the thread is not used for anything else afterwards.
func Load(f seccomp.Filter) error {
	const setNoNewPrivs, setModeFilter = 38, 1
	program := struct {
		length uint16
		first  *byte
	}{uint16(f.Instructions()), unsafe.SliceData(f)}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("setting no_new_privs: %w", errno)
	}
	_, _, errno := syscall.RawSyscall(numberOfSeccomp(), setModeFilter, 0, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(f)
	if errno != 0 {
		return fmt.Errorf("loading a filter of %d instructions: %w", f.Instructions(), errno)
	}
	return nil
}

func numberOfSeccomp() uintptr {
	if runtime.GOARCH == "amd64" {
		return 317
	}
	return 277 // the generic table
}
