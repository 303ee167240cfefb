// Package portable runs a list of system calls in plain Go, for architectures that have no interpreter in assembler.
//
//	starter ──ForkExec──> this binary again ──clone(CLONE_PARENT)──> the list's process, a child of the starter
//	   │                     │ tells its pid, ends                      │ has one thread, calls and data at their addresses
//	   └─────reaps───────────┘                                          └─ runs the calls, with raw system calls only
//
// A Go program has threads, and may not join a user namespace (setns(2)); a child made by clone(2) without CLONE_VM has the
// one that called. In it the runtime is dead: no allocation, no lock, no growth of the stack, no signal handler. Everything
// it does is nosplit and a raw system call, as in syscall.forkAndExecInChild.
//
// The calls and their data are in shared anonymous memory at the addresses the list was written for, so that the kernel's
// words (CLONE_PARENT_SETTID) and what one process feeds another arrive as with CLONE_VM, which is taken out of clone3(2).
// The price against the assembler: the program starts a second time, and a list that lives long costs 0.6 MB or more (measured).
//
// The package imports syscall alone: package early, which runs the list before main, must be initialised before package os
// (which raises the limit of open files, and may open descriptors of its own). It is little-endian and 64-bit.
package portable
