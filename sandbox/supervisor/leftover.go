package supervisor

import (
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// A container that shares the pid namespace of the machine or of another container has no first process with whose end the
// kernel kills all others. They are known by their mount namespace, which is the container's own in every case.

// mountNamespace names a process's mount namespace; "" where it cannot be seen any more.
func mountNamespace(pid int) string {
	name, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/mnt")
	if err != nil {
		return ""
	}
	return name
}

// noteNamespace remembers by what the container's processes are known. Before its command is executed the first process may
// still be on its way through another container's namespaces, but not where the pid namespace is the machine's; afterwards it
// may have ended already.
func (g *Guest) noteNamespace(executed bool) {
	if g.snap.Spec.Host.PID.Owned() {
		return
	}
	if _, id := SharedWith(&g.snap.Spec.Host); !executed && id != "" {
		return
	}
	if name := mountNamespace(g.snap.State.Guest.PID); name != "" && name != mountNamespace(os.Getpid()) {
		g.mounts = name
	}
}

// killLeft kills what the first process has left. Each pass may find what was forked during the one before.
func (g *Guest) killLeft() {
	if g.mounts == "" {
		return
	}
	for range 100 {
		if killIn(g.mounts) == 0 {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// killIn kills the processes of a mount namespace and counts them.
func killIn(mounts string) (n int) {
	procs, _ := os.ReadDir("/proc")
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || mountNamespace(pid) != mounts {
			continue
		}
		fd, err := sys.PidfdOpen(pid)
		if err != nil {
			continue
		}
		if mountNamespace(pid) == mounts { // the number is still that process's
			_ = sys.PidfdSignal(fd, syscall.SIGKILL)
			n++
		}
		syscall.Close(fd)
	}
	return n
}
