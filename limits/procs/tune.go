package procs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Host lists the container's processes by the host's numbers, for calls that take no handle: one readlink for each process
// of the host, so not for often.
func Host(hostPid int) ([]int, error) {
	s, err := openHost(func(s *Set) func() ([]int, error) { return s.namespace(namespaceOf(hostPid)) })
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Pids()
}

// SetAffinity binds every thread of the container to the CPUs; new threads inherit it.
func SetAffinity(hostPid int, cpus []int) error {
	return eachThread(hostPid, func(tid int) error { return sys.SetAffinity(tid, cpus) })
}

// SetNice sets the nice value of every thread of the container. An ordinary account can only raise it.
func SetNice(hostPid, nice int) error {
	return eachThread(hostPid, func(tid int) error {
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, tid, nice); err != nil {
			return fmt.Errorf("setting nice value of thread %d: %w", tid, err)
		}
		return nil
	})
}

// SetRlimit sets a soft limit of every process of the container, up to the hard one of each.
func SetRlimit(hostPid, resource int, soft uint64) error {
	return each(hostPid, func(pid int) error {
		r, err := sys.Prlimit(pid, resource, nil)
		if err == nil {
			r.Cur = min(soft, r.Max)
			_, err = sys.Prlimit(pid, resource, &r)
		}
		if err != nil {
			return fmt.Errorf("setting resource limit of process %d: %w", pid, err)
		}
		return nil
	})
}

// SetAutogroup sets the nice value of the scheduler's group of a session (CONFIG_SCHED_AUTOGROUP, sched(7)): with it, nice
// values count among the threads of one session only. The process must lead the container's session and run under an id
// of this user; the kernel answers EAGAIN when such a change was made less than 0.1 s ago.
func SetAutogroup(hostPid, nice int) error {
	err := os.WriteFile("/proc/"+strconv.Itoa(hostPid)+"/autogroup", []byte(strconv.Itoa(nice)), 0)
	if err != nil {
		return fmt.Errorf("setting nice value of the session: %w", err)
	}
	return nil
}

// Mask is the form of a set of CPUs that sched_setaffinity(2) takes.
func Mask(cpus []int) []uint64 {
	mask := make([]uint64, 1)
	for _, cpu := range cpus {
		for cpu/64 >= len(mask) {
			mask = append(mask, 0)
		}
		mask[cpu/64] |= 1 << (cpu % 64)
	}
	return mask
}

// each calls do for each process, twice, since some are born while the first pass goes on. Those that end are no error.
func each(hostPid int, do func(pid int) error) error {
	for range 2 {
		pids, err := Host(hostPid)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if err := do(pid); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
	}
	return nil
}

func eachThread(hostPid int, do func(tid int) error) error {
	return each(hostPid, func(pid int) error {
		tasks, _ := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if err := do(tid); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		return nil
	})
}
