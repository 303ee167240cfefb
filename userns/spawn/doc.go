// Package spawn makes programs out of lists of system calls.
//
// A List is data: system calls with their arguments, what to do when one fails and where to keep a result. Start turns it
// into an ELF file of its own in a sealed memory file: one page of header and interpreter (Go assembler, copied at run
// time), the calls, and their data. The process it becomes shares no memory with this one, has one thread (a Go program
// cannot join a user namespace: setns(2) says EINVAL to a process with threads) and costs 12 kB.
//
//	0x10000000  r-x  ELF header, program headers, interpreter
//	0x10100000  rw-  state {errno, address of the failed call, report descriptor, 0}, then one Op of 80 bytes per call
//	0x20000000  rw-  strings, structures, words: the arguments that are addresses
//
// Everything a list tells its maker is a record of 16 bytes on its report descriptor: {value, kind}. Kind Told marks a
// value that the list itself wrote; any other kind is the address of the call that failed, and value its errno. The end of
// the file means that the list has executed something else, or died.
//
// The interpreters (one conformance suite over all):
//
//	amd64, arm64   some sixty lines of assembler, in the file of the list: 12 kB of memory
//	elsewhere      plain Go, in this binary executed again: see package portable; 0.6 MB of memory, and up to 4 MB where
//	               the kernel gave Go's heap huge pages; some milliseconds more
//	tag portable   the same where there is an assembler, to be tried
//
// What a list may not contain: anything that needs a stack. Children that it clones run in the same calls; whether all
// memory is shared with them depends on the interpreter, calls and data always are.
//
// The package runs in the process of its caller; it keeps no state and never joins a namespace itself.
package spawn
