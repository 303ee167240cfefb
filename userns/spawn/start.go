package spawn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
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
	fd, err := l.File(o.Name, o.Report, o.TmpDir)
	if err != nil {
		return 0, err
	}
	defer syscall.Close(fd)
	files := make([]uintptr, len(o.Files))
	for i, f := range o.Files {
		files[i] = uintptr(f)
	}
	attr := &syscall.ProcAttr{Env: []string{}, Files: files, Sys: &syscall.SysProcAttr{Setsid: o.Setsid}}
	if o.ExtraFD > 0 {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, o.ExtraFD
	}
	pid, err = syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(fd), []string{o.Name}, attr)
	if err != nil {
		return 0, fmt.Errorf("starting %q: %w", o.Name, err)
	}
	return pid, nil
}

// File writes the list as a program into a sealed memory file and returns a descriptor, numbered high enough not to be
// replaced by a child's own. A list that executes another one (a holder, for instance) needs it.
func (l *List) File(name string, report int, tmpDir string) (int, error) {
	head, ops, data := l.image(report)
	fd, err := sys.MemfdProgram(name, tmpDir, []sys.Part{{At: 0, Data: head}, {At: ops, Data: l.ops}, {At: data, Data: append(l.data, 0)}})
	if err != nil {
		return -1, err
	}
	high, err := sys.DupAbove(fd, 100)
	syscall.Close(fd)
	if err != nil {
		return -1, fmt.Errorf("moving descriptor of %q: %w", name, err)
	}
	return high, nil
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
