//go:build !portable && (amd64 || arm64)

package spawn

import (
	"strconv"
	"syscall"
)

// HasAssembler tells whether this build has an interpreter in assembler.
const HasAssembler = true

// Image is the ELF file of the list.
func (l *List) Image(report int) (head []byte, ops, data int64) { return l.image(report) }

// Sizes are the bytes of calls and data.
func (l *List) Sizes() (ops, data int) { return len(l.ops), len(l.data) }

// emulated is the descriptor from which an emulator reads the list's file.
const emulated = 90

// StartUnder runs the list's ELF file in a user mode emulator of this architecture.
func (l *List) StartUnder(emulator string, o Options) (int, error) {
	fd, err := l.program(o)
	if err != nil {
		return 0, err
	}
	defer syscall.Close(fd)
	files := o.files()
	for len(files) < emulated {
		files = append(files, ^uintptr(0))
	}
	attr := &syscall.ProcAttr{Env: []string{}, Files: append(files, uintptr(fd)), Sys: &syscall.SysProcAttr{Setsid: o.Setsid}}
	return syscall.ForkExec(emulator, []string{emulator, "/proc/self/fd/" + strconv.Itoa(emulated)}, attr)
}
