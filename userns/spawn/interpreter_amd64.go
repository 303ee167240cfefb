package spawn

import "unsafe"

const (
	machine = 62   // EM_X86_64
	memPage = 4096 // the smallest piece of memory that can be given back
)

// ShareMemory is the clone flag with which a list's children share its memory (CLONE_VM): no page is copied.
const ShareMemory = 0x100

// interpreterPC is the address of the interpreter's text, in interpreter_amd64.s.
var interpreterPC uintptr

// code is the interpreter's text.
func code() []byte {
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&interpreterPC)), codeSize)
}
