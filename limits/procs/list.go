package procs

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// numbers lists the directories of the set's proc that are processes.
func (s *Set) numbers() ([]int, error) {
	fd := int(s.proc.Fd())
	if _, err := syscall.Seek(fd, 0, 0); err != nil {
		return nil, &os.PathError{Op: "seek", Path: s.proc.Name(), Err: err}
	}
	var pids []int
	for {
		n, err := syscall.ReadDirent(fd, s.buf)
		if err != nil {
			return nil, &os.PathError{Op: "getdents", Path: s.proc.Name(), Err: err}
		}
		if n == 0 {
			return pids, nil
		}
		pids = appendNumbers(pids, s.buf[:n])
	}
}

// appendNumbers picks the entries with numeric names from what getdents64(2) has returned: inode, offset (8 bytes each),
// length of the entry (2), type (1), name.
func appendNumbers(pids []int, entries []byte) []int {
	for len(entries) > 19 {
		size := int(binary.NativeEndian.Uint16(entries[16:]))
		if size < 19 || size > len(entries) {
			return pids
		}
		if pid := number(entries[19:size]); pid > 0 {
			pids = append(pids, pid)
		}
		entries = entries[size:]
	}
	return pids
}

// number reads a decimal number that ends with a zero byte, 0 when it is none.
func number(name []byte) int {
	n := 0
	for _, c := range name {
		switch {
		case c == 0:
			return n
		case c < '0' || c > '9':
			return 0
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// namespace lists the processes of a pid namespace from the host's /proc, one readlink for each process of the host.
func (s *Set) namespace(want string) func() ([]int, error) {
	return func() ([]int, error) {
		all, err := s.numbers()
		var pids []int
		link := make([]byte, 64)
		for _, pid := range all {
			n, err := sys.Readlinkat(int(s.proc.Fd()), strconv.Itoa(pid)+"/ns/pid", link)
			if err == nil && string(link[:n]) == want {
				pids = append(pids, pid)
			}
		}
		return pids, err
	}
}

// until searches until the container's own proc can be had, which it tries ever less often. Its numbers change with that, but
// only between two listings.
func (s *Set) until(hostPid int, want string) func() ([]int, error) {
	search, calls := s.namespace(want), 0
	return func() ([]int, error) {
		if calls++; calls&(calls-1) == 0 { // 1, 2, 4, 8 …
			if proc, err := inner(hostPid, want); err == nil {
				_ = s.proc.Close()
				s.proc, s.list = proc, s.numbers
				return s.numbers()
			}
		}
		pids, err := search()
		if st, ok := s.Status(hostPid); len(pids) == 0 && ok && st.State != 'Z' {
			pids = []int{hostPid} // not dumpable for the moment: its namespace cannot be read
		}
		return pids, err
	}
}

// descendants walks the children files, one per thread (CONFIG_PROC_CHILDREN, proc(5)).
func (s *Set) descendants(pid int) []int {
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		tasks, _ := os.ReadDir("/proc/" + strconv.Itoa(pids[i]) + "/task")
		for _, task := range tasks {
			text := s.read(pids[i], "task/"+task.Name()+"/children")
			for _, word := range strings.Fields(string(text)) {
				if child, err := strconv.Atoi(word); err == nil {
					pids = append(pids, child)
				}
			}
		}
	}
	return pids
}

// read returns a file of one process, empty when the process is gone; what is longer than the buffer is cut off. The slice is
// valid until the next read.
func (s *Set) read(pid int, file string) []byte {
	fd, err := syscall.Openat(int(s.proc.Fd()), strconv.Itoa(pid)+"/"+file, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	n := 0
	for n < len(s.buf) {
		m, err := syscall.Read(fd, s.buf[n:])
		if err != nil && err != syscall.EINTR || m == 0 {
			break
		}
		n += max(m, 0)
	}
	return s.buf[:n]
}
