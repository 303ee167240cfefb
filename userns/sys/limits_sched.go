package sys

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Readlinkat reads a symbolic link below a directory descriptor into buf and returns its length.
func Readlinkat(dir int, path string, buf []byte) (int, error) {
	return unix.Readlinkat(dir, path, buf)
}

// SetAffinity binds a thread (0: this one) to CPUs (sched_setaffinity(2)). CPUs above 1023 are ignored.
func SetAffinity(tid int, cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return fmt.Errorf("setting CPUs of thread %d: %w", tid, err)
	}
	return nil
}

// Affinity returns the CPUs a thread (0: this one) may run on, sorted.
func Affinity(tid int) ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &set); err != nil {
		return nil, fmt.Errorf("reading CPUs of thread %d: %w", tid, err)
	}
	var cpus []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
