package prefault

import (
	"syscall"
	"unsafe"
)

// Go initialises packages in the order of their paths as far as imports allow: importing syscall alone puts this one before
// os, reflect and all that they carry.
func init() {
	if isRole() {
		return
	}
	here := advise
	advise(**(**uintptr)(unsafe.Pointer(&here))&^(alignment-1), textUsed, populateRead)
	heap := uintptr(unsafe.Pointer(new([64]byte))) &^ (alignment - 1)
	advise(heap+hugePage, hugePage, adviseHuge)
	fill(heap + hugePage/2)
	growStack()
}

const (
	// Heap and text start at a multiple of this: the runtime maps so much of its heap at a time (pallocChunkBytes) and fills
	// it from its low end, if the build does not start it at random (GOEXPERIMENT=norandomizedheapbase64, see the Makefile);
	// the linker puts an amd64 program to 4 MiB.
	alignment = 4 << 20

	hugePage = 2 << 20
	textUsed = 2500 << 10 // the program's text

	adviseHuge   = 14 // MADV_HUGEPAGE
	populateRead = 22 // MADV_POPULATE_READ, Linux 5.14
)

// advise ends at the first hole of the range, which is as good.
func advise(at, length, how uintptr) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, at, length, how)
}

// fill takes the heap's free memory up to an address near its beginning. It is not touched, and the first run of the
// garbage collector, if there is one, gives it back.
func fill(to uintptr) {
	const piece = 64 << 10
	for range hugePage / 2 / piece {
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(onHeap(piece)))); at+piece >= to {
			return
		}
	}
}

//go:noinline
func onHeap(n int) []byte { return make([]byte, n) }

// growStack makes the stack of the main goroutine 1 MiB, in one step and while there is next to nothing on it to be moved.
// With fill it takes what is left of the heap's first 2 MiB, whose page table the runtime has begun already, so that whatever
// is allocated from here on lies in the huge page. A stack counts little for the garbage collector, which runs no sooner for it.
func growStack()

// isRole says whether this process is one of moss's own long-lived ones: alone on its command line stands "moss-NAME", see
// userns/role.
func isRole() bool {
	var line [64]byte
	fd, err := syscall.Open("/proc/self/cmdline", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	n, _ := syscall.Read(fd, line[:])
	_ = syscall.Close(fd)
	words := 0
	for _, c := range line[:max(n, 0)] {
		if c == 0 {
			words++
		}
	}
	return words == 1 && n >= 5 && string(line[:5]) == "moss-"
}
