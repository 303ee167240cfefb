package procs

import (
	"slices"
	"strconv"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Handle is one process, whatever happens to its number: an open directory of proc, which pidfd_send_signal(2) takes in
// place of a pidfd, of any pid namespace below the caller's.
type Handle struct {
	Pid int
	fd  int
}

// Hold opens a handle; the caller closes it.
func (s *Set) Hold(pid int) (Handle, error) {
	fd, err := syscall.Openat(int(s.proc.Fd()), strconv.Itoa(pid), syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	return Handle{pid, fd}, err
}

// Signal sends a signal; ESRCH when the process has ended.
func (h Handle) Signal(sig syscall.Signal) error { return sys.PidfdSignal(h.fd, sig) }

// Close ends the use of the handle.
func (h Handle) Close() error { return syscall.Close(h.fd) }

// Kill ends one process of the set.
func (s *Set) Kill(pid int) error {
	h, err := s.Hold(pid)
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Signal(syscall.SIGKILL)
}

// Stop stops every process that is not stopped already, and returns those it stopped. Parents come before their children, so
// that a shell does not see its child stop; passes are repeated until no new process appears. It returns before the last
// of them has really stopped.
func (s *Set) Stop() []Handle {
	var held []Handle
	for range 10 {
		before := len(held)
		for _, st := range s.parentsFirst() {
			if st.State == 'T' || st.State == 'Z' || slices.ContainsFunc(held, func(h Handle) bool { return h.Pid == st.Pid }) {
				continue
			}
			h, err := s.Hold(st.Pid)
			if err != nil {
				continue
			}
			if h.Signal(syscall.SIGSTOP) != nil {
				_ = h.Close()
				continue
			}
			held = append(held, h)
		}
		if len(held) == before {
			break
		}
	}
	return held
}

// Continue lets those go on that Stop has stopped, children first: a child runs again before its parent can look at it.
func Continue(held []Handle) {
	for _, h := range slices.Backward(held) {
		_ = h.Signal(syscall.SIGCONT) // ended meanwhile
		_ = h.Close()
	}
}

// Forget gives up the handles and leaves their processes stopped.
func Forget(held []Handle) {
	for _, h := range held {
		_ = h.Close()
	}
}

// ContinueAll lets every process go on, for a successor that does not know who was stopped by whom. It asks those that seem
// to run too: a stop may be on its way to them.
func (s *Set) ContinueAll() {
	for _, st := range slices.Backward(s.parentsFirst()) {
		if h, err := s.Hold(st.Pid); err == nil {
			Continue([]Handle{h})
		}
	}
}

// parentsFirst lists all processes, each behind its parent.
func (s *Set) parentsFirst() []Status {
	pids, _ := s.Pids()
	all := make([]Status, 0, len(pids))
	for _, pid := range pids {
		if st, ok := s.Status(pid); ok {
			all = append(all, st)
		}
	}
	return sortParentsFirst(all)
}

func sortParentsFirst(all []Status) []Status {
	parent := map[int]int{}
	for _, st := range all {
		parent[st.Pid] = st.Parent
	}
	depth := func(st Status) int {
		d := 0
		for p := st.Parent; p != 0 && d < len(all); p = parent[p] {
			d++
		}
		return d
	}
	slices.SortStableFunc(all, func(a, b Status) int { return depth(a) - depth(b) })
	return all
}
