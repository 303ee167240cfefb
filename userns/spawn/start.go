package spawn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Options say how a list is started.
type Options struct {
	Name    string // what ps shows
	Files   []int  // descriptors that become 0, 1, 2, … of the list; -1 leaves one closed
	Report  int    // the number among those on which the list reports
	Setsid  bool   // a session of its own
	TmpDir  string // where an unnamed file may be made if the kernel forbids executable memory files
	ExtraFD int    // a cgroup descriptor to be born in, 0 for none
}

// Start runs the list as a process of its own, a child of this one. The caller waits for it, and reads its reports.
func (l *List) Start(o Options) (pid int, err error) {
	if pid, err = l.start(o); err != nil {
		return 0, fmt.Errorf("starting %q: %w", o.Name, err)
	}
	return pid, nil
}

// files are the descriptors as syscall.ProcAttr takes them.
func (o *Options) files() []uintptr {
	files := make([]uintptr, len(o.Files))
	for i, f := range o.Files {
		files[i] = uintptr(f)
	}
	return files
}

// above is a number for the program's descriptor that the child does not overwrite before it executes the program:
// syscall.ForkExec first moves descriptors that stand in the way to numbers above all that it was given.
func (o *Options) above() int {
	highest := len(o.Files)
	for _, f := range o.Files {
		highest = max(highest, f)
	}
	return highest + len(o.Files) + 8
}

// Reports reads what a list tells until it has executed its last program or died. Told gets each value the list wrote on
// purpose. The error is a *CallError where a call failed; what the list tells after that is still handed on.
func (l *List) Reports(r io.Reader, told func(value uint64)) error {
	var rec [16]byte
	var failure error
	for {
		_, err := io.ReadFull(r, rec[:])
		if errors.Is(err, io.EOF) {
			return failure
		}
		if err != nil {
			return errors.Join(failure, fmt.Errorf("reading a list's report: %w", err))
		}
		value, kind := binary.LittleEndian.Uint64(rec[:]), binary.LittleEndian.Uint64(rec[8:])
		switch {
		case kind == Told:
			told(value)
		case failure == nil:
			failure = l.failure(value, kind)
		}
	}
}

// Tell appends a call that reports one word on the list's report descriptor. It returns where the word lies, to be filled
// by Save or by the kernel before the call.
func (l *List) Tell(name string, report uintptr) (word Addr, op Op) {
	word = l.Words(0, Told)
	return word, l.Call(name, syscall.SYS_WRITE, report, uintptr(word), 16)
}

// Wait waits for a child and returns its status; EINTR is retried.
func Wait(pid int) (syscall.WaitStatus, error) {
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &ws, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("wait4", err)
		}
		return ws, nil
	}
}
