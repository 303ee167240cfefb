package spawn

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Layout of the program's memory.
const (
	textBase  = 0x10000000
	opsBase   = 0x10100000
	dataBase  = 0x20000000
	stateSize = 32
	opSize    = 80 // number, six arguments, save, jump if not zero, jump on error
)

// ShareMemory is the clone flag (CLONE_VM) with which a list's children share its memory: no page is copied. Where the list
// is run by the re-executed binary the flag is left out, and the calls and their data alone are shared.
const ShareMemory = 0x100

// Told is the kind of a record that a list writes on purpose.
const Told = 1

// Pseudo call numbers.
const (
	dec  = ^uintptr(0)     // write argument 0 in decimal, leftwards, ending before the address in argument 1
	load = ^uintptr(0) - 1 // the result is the word at the address in argument 0
)

// A List is a program of system calls under construction. The zero value is not usable; see New.
type List struct {
	ops   []byte
	data  []byte
	names []string
}

// An Op is the position of a call in its list.
type Op int

// An Addr is an address in the program's memory.
type Addr uintptr

// New returns an empty list.
func New() *List {
	return &List{ops: make([]byte, stateSize, 16<<10), data: make([]byte, 0, 8<<10), names: make([]string, 0, 192)}
}

// Call appends a system call; if it fails the program reports its errno and ends with exit code 127. The name is what an
// error says of the call.
func (l *List) Call(name string, nr uintptr, args ...uintptr) Op {
	op := Op(len(l.names))
	l.names = append(l.names, name)
	var b [opSize]byte
	binary.LittleEndian.PutUint64(b[:], uint64(nr))
	for i, a := range args {
		binary.LittleEndian.PutUint64(b[8+8*i:], uint64(a))
	}
	l.ops = append(l.ops, b[:]...)
	return op
}

// Try appends a call whose failure is no error: the next call follows either way.
func (l *List) Try(name string, nr uintptr, args ...uintptr) Op {
	op := l.Call(name, nr, args...)
	l.OnError(op, l.Next())
	return op
}

// Next is the position of the call that will be appended next.
func (l *List) Next() Op { return Op(len(l.names)) }

// OnError makes the program go on at to when op fails, without a report.
func (l *List) OnError(op, to Op) { l.put(op, 9, uintptr(l.at(to))) }

// IfNotZero makes the program go on at to when op returns something else than 0.
func (l *List) IfNotZero(op, to Op) { l.put(op, 8, uintptr(l.at(to))) }

// Jump appends a call that only goes on at to.
func (l *List) Jump(to Op) Op {
	op := l.Call("jump", syscall.SYS_GETTID) // a thread id is never 0
	l.IfNotZero(op, to)
	return op
}

// Save stores op's result as a word at addr. At a clone both processes would do so, in an order nobody knows: use
// CLONE_PARENT_SETTID there.
func (l *List) Save(op Op, addr Addr) { l.put(op, 7, uintptr(addr)) }

// Feed makes op's result argument arg of another call.
func (l *List) Feed(op, to Op, arg int) { l.Save(op, l.Arg(to, arg)) }

// Arg is the address of argument arg of a call, for results and for kernel structures that point at it.
func (l *List) Arg(op Op, arg int) Addr { return l.at(op) + 8 + Addr(8*arg) }

// SetArg replaces argument arg of a call that was appended before.
func (l *List) SetArg(op Op, arg int, v uintptr) { l.put(op, 1+arg, v) }

// Decimal appends a pseudo call: the number in argument 0 (to be fed) is written in decimal into the bytes that end before
// end. It lets a list build a path with a number in it, such as /proc/////1234: extra slashes are harmless.
func (l *List) Decimal(name string, end Addr) Op { return l.Call(name, dec, 0, uintptr(end)) }

// Load appends a pseudo call whose result is the word at an address: a result that was saved there, or what the kernel
// wrote (a 32-bit value, if the word was 0 before).
func (l *List) Load(word Addr) Op { return l.Call("load", load, uintptr(word)) }

// CallWith is Call with the word at an address, at that time, as argument arg.
func (l *List) CallWith(word Addr, arg int, name string, nr uintptr, args ...uintptr) Op {
	ld := l.Load(word)
	op := l.Call(name, nr, args...)
	l.Feed(ld, op, arg)
	return op
}

// Bytes places b in the program's data, aligned to 8 bytes.
func (l *List) Bytes(b []byte) Addr {
	for len(l.data)%8 != 0 {
		l.data = append(l.data, 0)
	}
	at := len(l.data)
	l.data = append(l.data, b...)
	return dataBase + Addr(at)
}

// String places s, terminated by a zero byte, in the program's data.
func (l *List) String(s string) Addr {
	at := len(l.data)
	l.data = append(append(l.data, s...), 0)
	return dataBase + Addr(at)
}

// Str is String as an argument of a call.
func (l *List) Str(s string) uintptr { return uintptr(l.String(s)) }

// Words places words in the program's data.
func (l *List) Words(v ...uint64) Addr {
	b := make([]byte, 0, 8*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return l.Bytes(b)
}

// Poke replaces the word at an address in the program's data.
func (l *List) Poke(at Addr, v uint64) {
	binary.LittleEndian.PutUint64(l.data[at-dataBase:], v)
}

// Strings places an array of strings that ends with a null pointer, as execve(2) takes them.
func (l *List) Strings(v []string) Addr {
	p := make([]uint64, len(v)+1)
	for i, s := range v {
		p[i] = uint64(l.String(s))
	}
	return l.Words(p...)
}

// Names returns the calls' names in order; tests of packages that write lists compare them.
func (l *List) Names() []string { return l.names }

func (l *List) at(op Op) Addr { return opsBase + stateSize + Addr(op)*opSize }

func (l *List) put(op Op, word int, v uintptr) {
	binary.LittleEndian.PutUint64(l.ops[stateSize+int(op)*opSize+8*word:], uint64(v))
}

// A CallError is a failure that a list reported.
type CallError struct {
	Call  string // the call's name in the list
	Errno syscall.Errno
}

// Error is the call's name and what the kernel said.
func (e *CallError) Error() string { return e.Call + ": " + e.Errno.Error() }

// Unwrap lets errors.Is compare with an errno.
func (e *CallError) Unwrap() error { return e.Errno }

// failure makes the error of a record that the list reported.
func (l *List) failure(errno, at uint64) error {
	i := (int64(at) - opsBase - stateSize) / opSize
	if i < 0 || i >= int64(len(l.names)) {
		return fmt.Errorf("internal error: a list reported %d at %#x", errno, at)
	}
	return &CallError{Call: l.names[i], Errno: syscall.Errno(errno)}
}

// Shrink gives back the program's memory but for the data from keep on and the calls that follow, of which there may be at
// most more: they lie in one page. A process that lives long is small then.
func (l *List) Shrink(keep Addr, more int) {
	memPage := uintptr(syscall.Getpagesize()) // the list runs on the machine it is written on
	last := uintptr(more+2) * opSize
	for at := uintptr(l.at(l.Next())); at%memPage > memPage-last; at += opSize {
		l.Jump(l.Next() + 1)
	}
	if end := uintptr(l.at(l.Next())) &^ (memPage - 1); end > opsBase {
		l.Call("giving back calls", syscall.SYS_MUNMAP, opsBase, end-opsBase)
	}
	if end := uintptr(keep) &^ (memPage - 1); end > dataBase {
		l.Call("giving back data", syscall.SYS_MUNMAP, dataBase, end-dataBase)
	}
}

// Rest ends the list: the program waits until it is killed. Two calls.
func (l *List) Rest(name string) {
	wait := l.Try(name, sys.SYS_PAUSE, sys.PauseArgs()...)
	l.Jump(wait)
}

// Name appends the call that gives the process a name of its own, up to 15 bytes: it was executed by the number of a
// descriptor (PR_SET_NAME, prctl(2)).
func (l *List) Name(name string) {
	const setName = 15
	l.Try("taking a name", syscall.SYS_PRCTL, setName, l.Str(name), 0, 0, 0)
}
