package portable

import (
	"errors"
	"syscall"
	"unsafe"
)

// variable is private: the environment variable that tells a re-executed binary which list to run.
const variable = "_MOSS_LIST"

// A Layout is the place of calls and data in memory. The file has the calls, and the data right behind them.
type Layout struct {
	Ops, First, Data  uintptr // addresses: of all calls with their state, of the first, of the data
	OpsSize, DataSize int
	Report            int // descriptor of the list's records
}

// A Program is a list that is to be run.
type Program struct {
	Name       string
	Executable int   // a binary that links package early; numbered above everything that the child will have
	List       int   // a file with calls and data
	Files      []int // descriptors that become 0, 1, 2, …; -1 leaves one closed
	Setsid     bool
	Cgroup     int // a descriptor of the cgroup to be born in, 0 for none
	Layout
}

// Start runs the list and returns its process's id; it is a child of this process.
func Start(p *Program) (int, error) {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return 0, err
	}
	defer syscall.Close(pipe[0])
	between, err := p.execute(pipe[1])
	syscall.Close(pipe[1])
	if err != nil {
		return 0, err
	}
	pid, err := told(pipe[0])
	var ws syscall.WaitStatus
	for {
		if _, e := syscall.Wait4(between, &ws, 0, nil); e != syscall.EINTR {
			break
		}
	}
	return pid, err
}

// execute starts the binary that becomes the list. Its file and the pipe for the pid stand behind the list's descriptors.
func (p *Program) execute(pipe int) (int, error) {
	files := make([]uintptr, 0, len(p.Files)+2)
	for _, f := range p.Files {
		files = append(files, uintptr(f))
	}
	attr := &syscall.ProcAttr{Env: []string{variable + "=" + p.encode()}, Files: append(files, uintptr(p.List), uintptr(pipe)), Sys: &syscall.SysProcAttr{}}
	if p.Cgroup > 0 {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, p.Cgroup
	}
	return syscall.ForkExec("/proc/self/fd/"+text(uint64(p.Executable)), []string{p.Name}, attr)
}

// told reads the pid, or the errno where there is none.
func told(pipe int) (int, error) {
	var answer [2]uint64
	b := (*[16]byte)(unsafe.Pointer(&answer))[:]
	for {
		n, err := syscall.Read(pipe, b)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, err
		case n != len(b):
			return 0, errors.New("internal error: the re-executed program does not run lists")
		case answer[1] != 0:
			return 0, syscall.Errno(answer[1])
		default:
			return int(answer[0]), nil
		}
	}
}
