//go:build !portable && (amd64 || arm64)

package spawn

import (
	"fmt"
	"strconv"
	"syscall"
	"unsafe"

	"github.com/moss-sandbox/moss/userns/sys"
)

// interpreterPC is the address of the interpreter's text, in interpreter_ARCH.s.
var interpreterPC uintptr

// code is the interpreter's text, and some bytes of what follows it.
func code() []byte {
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&interpreterPC)), codeSize)
}

// start executes the list as an ELF file of its own.
func (l *List) start(o Options) (int, error) {
	fd, err := l.program(o)
	if err != nil {
		return 0, err
	}
	defer syscall.Close(fd)
	attr := &syscall.ProcAttr{Env: []string{}, Files: o.files(), Sys: &syscall.SysProcAttr{Setsid: o.Setsid}}
	if o.ExtraFD > 0 {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, o.ExtraFD
	}
	return syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(fd), []string{o.Name}, attr)
}

// program writes the list as a program into a sealed memory file.
func (l *List) program(o Options) (int, error) {
	head, ops, data := l.image(o.Report)
	fd, err := sys.MemfdProgram(o.Name, o.TmpDir, []sys.Part{{At: 0, Data: head}, {At: ops, Data: l.ops}, {At: data, Data: append(l.data, 0)}})
	if err != nil {
		return -1, err
	}
	defer syscall.Close(fd)
	high, err := sys.DupAbove(fd, o.above())
	if err != nil {
		return -1, fmt.Errorf("moving the program's descriptor: %w", err)
	}
	return high, nil
}
