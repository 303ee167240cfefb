package guest

import (
	"syscall"

	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// supervised is the end of a birth with --init: the guest stays pid 1 as the list that it is, and the command becomes its
// child. It hands signals on, reaps whatever is orphaned, and ends as the command ends.
//
// Nothing of moss is executed inside for it: /proc/1/exe is the list's own sealed memory file. The memory is the guest's
// own (see cloneArgs), since those inside may look into it, and it has no more rights than the command: the same ids,
// bounding set, capabilities and filter, and in addition no new privileges, for it executes nothing any more.
//
//	guest ── clone (vfork) ──> command: process group of its own, the terminal's foreground; execve
//	   │ gives up its rights, closes everything
//	   └─> wait for any signal ─ SIGCHLD: reap; the command's end is its own ─┐
//	         ^               └─ any other: kill(command, signal)              │
//	         └────────────────────────────────────────────────────────────────┘
func (w *writer) supervised(p *process) {
	child := w.Words(0)
	w.Name("moss-init")
	w.Try("collecting orphans", syscall.SYS_PRCTL, prSetSubreaper, 1, 0, 0, 0) // pid 1 does anyway
	w.Call("holding signals back", syscall.SYS_RT_SIGPROCMASK, sigSetMask, uintptr(w.Words(^uint64(0))), 0, 8)
	args := w.Words(spawn.ShareMemory|cloneVfork|parentSetTID, 0, 0, uint64(child), uint64(syscall.SIGCHLD), 0, 0, 0, 0, 0, 0)
	clone := w.Call("making the command's process", sys.SYS_CLONE3, uintptr(args), 88)
	w.foreground()
	independent := *p
	independent.life = alreadyFree
	independent.become(w.List)
	w.IfNotZero(clone, w.Next())
	w.renounce(p)
	w.Call("closing everything", sys.SYS_CLOSE_RANGE, 0, 1<<32-1, 0)
	pid := w.Load(child) // before its memory is given back
	own := w.Words(0)    // what is needed to the end stands from here on in the data
	w.Save(pid, own)
	w.reaper(own)
}

// foreground puts the command into a process group of its own, so that a signal of the terminal reaches it once and not
// twice, and makes that the terminal's.
func (w *writer) foreground() {
	w.Call("leading a process group", syscall.SYS_SETPGID, 0, 0)
	if !w.s.Process.TTY {
		return
	}
	pid := w.Words(0)
	w.Save(w.Call("asking for the own pid", syscall.SYS_GETPID), pid)
	w.Call("coming to the foreground", syscall.SYS_IOCTL, 0, tiocspgrp, uintptr(pid)) // SIGTTOU is blocked
}

// renounce takes the guest's rights down to the command's.
func (w *writer) renounce(p *process) {
	mine, proc := *p, *p.Process
	proc.NoNewPrivs = true
	mine.Process = &proc
	mine.bound(w.List)
	mine.identity(w.List)
	// A change of ids made it unreadable; its owner outside, and those inside, look at pid 1 as at any other process.
	w.Call("staying readable", syscall.SYS_PRCTL, prSetDumpable, 1, 0, 0, 0)
	w.Call("living on its own", syscall.SYS_PRCTL, prSetPDeathSig, 0, 0, 0, 0)
	mine.loadFilter(w.List)
}

// Offsets in a siginfo_t of waitid(2).
const (
	infoCode   = 8
	infoPID    = 16
	infoStatus = 24
	cldExited  = 1 // CLD_EXITED
)

// reaperCalls is how many calls the loop has, with those for its loads and jumps.
const reaperCalls = 26

// reaper is the loop. A list cannot compare: futex(2) with FUTEX_CMP_REQUEUE and nothing to wake does, for it fails where a
// word is not the value that is expected.
func (w *writer) reaper(child spawn.Addr) {
	sig, unused := w.Words(0), w.Words(0)
	info := w.Bytes(make([]byte, OutcomeSize))
	all := uintptr(w.Words(^uint64(0)))
	self := w.Str("/proc/self/exe")
	w.Shrink(child, reaperCalls)

	again := w.Call("waiting for a signal", syscall.SYS_RT_SIGTIMEDWAIT, all, 0, 0, 8)
	w.OnError(again, again) // EINTR
	w.Save(again, sig)
	isChild := w.equal(sig, unused, uintptr(syscall.SIGCHLD))

	reap := w.Call("reaping", syscall.SYS_WAITID, 0, 0, uintptr(info), wEXITED|syscall.WNOHANG, 0)
	w.OnError(reap, again)
	none := w.equal(info+infoPID, unused, 0)
	w.Jump(again)
	w.OnError(none, w.Next())
	val := w.Load(child)
	ours := w.equal(info+infoPID, unused, 0)
	w.Feed(val, ours, 5)
	w.OnError(ours, reap)

	exited := w.equal(info+infoCode, unused, cldExited)
	w.CallWith(info+infoStatus, 0, "ending as the command", syscall.SYS_EXIT_GROUP, 0)
	w.OnError(exited, w.Next())
	w.endBySignal(info, self)

	w.OnError(isChild, w.Next())
	to := w.Load(child)
	what := w.Load(sig)
	forward := w.Try("handing a signal on", syscall.SYS_KILL, 0, 0)
	w.Feed(to, forward, 0)
	w.Feed(what, forward, 1)
	w.Jump(again)
}

// equal goes on with the next call where the 32 bits at addr are v; its failure is the other case.
func (w *writer) equal(addr, unused spawn.Addr, v uintptr) spawn.Op {
	return w.Call("comparing", syscall.SYS_FUTEX, uintptr(addr), futexCmpRequeue, 0, 0, uintptr(unused), v)
}

// endBySignal ends with 128 and the signal's number, as a shell has it. A list cannot add: the offset of a file can.
func (w *writer) endBySignal(info spawn.Addr, file uintptr) {
	fd := w.Call("opening a file to count with", syscall.SYS_OPENAT, atFdcwd, file, syscall.O_RDONLY, 0)
	first := w.Call("counting to 128", syscall.SYS_LSEEK, 0, 128, 0)
	w.Feed(fd, first, 0)
	n := w.Load(info + infoStatus)
	sum := w.Call("adding the signal", syscall.SYS_LSEEK, 0, 0, 1) // the file is descriptor 0: everything was closed
	w.Feed(n, sum, 1)
	end := w.Call("ending as the command", syscall.SYS_EXIT_GROUP, lostCode)
	w.Feed(sum, end, 0)
	w.OnError(fd, end)
}

// lostCode is the exit code of a command whose end could not be told.
const lostCode = 255

// shares tells whether maker and guest may share their memory until the guest has executed the command: not if it never
// does.
func (w *writer) shares() uint64 {
	if w.s.Process.Init {
		return 0
	}
	return spawn.ShareMemory
}
