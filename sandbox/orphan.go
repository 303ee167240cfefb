package sandbox

import (
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Held tells whether a process of a run has the lock on alive.
func (s *Sandbox) Held() bool { return s.locked("alive") }

// orphaned tells whether a run has begun of which the state knows nothing: who had the container born was killed before it
// could record that, and the container may live.
func (s *Sandbox) orphaned(served func() bool) bool { return s.Held() && !served() }

// EndOrphans kills what lives of the container whatever its state says: the recorded first process, and every process that
// keeps the lock on alive, together with its children (the first process is one of the holder's). It returns when the lock
// is free; an error names who keeps it. Its caller has the right to serve the container.
func (s *Sandbox) EndOrphans(recorded userns.Process) error {
	if fd, err := recorded.Open(); err == nil {
		endProcess(fd)
	}
	deadline := time.Now().Add(LockWait)
	for s.Held() {
		for _, pid := range openers(s.path("alive")) {
			s.endHolder(pid)
		}
		if time.Now().After(deadline) {
			return busy("container "+s.ID[:12], s.path("alive"))
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// openers are the processes that have a file open, this one left out.
func openers(path string) (pids []int) {
	var want syscall.Stat_t
	if syscall.Stat(path, &want) != nil {
		return nil
	}
	for _, pid := range allPIDs() {
		if pid != os.Getpid() && hasOpen(strconv.Itoa(pid), want) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// endHolder kills a process that keeps the lock, and its children first: they are known by their parent.
func (s *Sandbox) endHolder(pid int) {
	var want syscall.Stat_t
	fd, err := sys.PidfdOpen(pid)
	if err != nil || syscall.Stat(s.path("alive"), &want) != nil || !hasOpen(strconv.Itoa(pid), want) { // somebody else by now
		if err == nil {
			syscall.Close(fd)
		}
		return
	}
	for _, child := range allPIDs() {
		c, err := sys.PidfdOpen(child)
		if err != nil {
			continue
		}
		if st, err := userns.ReadStat(child); err == nil && st.PPID == pid {
			_ = sys.PidfdSignal(c, syscall.SIGKILL)
		}
		syscall.Close(c)
	}
	endProcess(fd)
}

// endProcess kills a process, waits a moment for its end, and closes the descriptor.
func endProcess(pidfd int) {
	_ = sys.PidfdSignal(pidfd, syscall.SIGKILL)
	_, _ = sys.Poll([]sys.PollFd{{Fd: int32(pidfd), Events: sys.PollIn}}, int(LockWait/time.Millisecond))
	syscall.Close(pidfd)
}

func allPIDs() (pids []int) {
	f, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
