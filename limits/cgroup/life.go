package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Freeze stops every process of the container and returns when all are stopped; the holder goes on (cgroup.freeze, Linux 5.2).
func (g Group) Freeze(ctx context.Context) error {
	if err := write(g.Container(), "cgroup.freeze", "1"); err != nil {
		return err
	}
	return g.await(ctx, g.Container(), "frozen", 1)
}

// Thaw lets the container go on.
func (g Group) Thaw() error { return write(g.Container(), "cgroup.freeze", "0") }

// Frozen tells whether the container is stopped by Freeze.
func (g Group) Frozen() (bool, error) {
	n, err := keyed(g.Container(), "cgroup.events", "frozen")
	return n == 1, err
}

// Kill ends every process of the container, frozen or not, and no holder; it does not wait. Before Linux 5.14 there is no
// cgroup.kill: then each process is killed in turn until a pass finds none.
func (g Group) Kill() error {
	err := write(g.Container(), "cgroup.kill", "1")
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for range 100 {
		pids, err := procs(g.Container())
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
		}
	}
	return fmt.Errorf("killing all in %q: new processes appear as fast", g.Container())
}

// Populated tells whether a process, holders included, lives in the group.
func (g Group) Populated() (bool, error) {
	n, err := keyed(g.Dir, "cgroup.events", "populated")
	return n == 1, err
}

// Remove waits until the group is empty and removes it with all that was made inside. A group that is gone is no error.
// Preconditions: the container and its holders have ended or are about to.
func (g Group) Remove(ctx context.Context) error {
	if err := g.await(ctx, g.Dir, "populated", 0); err != nil && !gone(err) {
		return err
	}
	for try := 0; ; try++ {
		err := g.removeTree()
		if err == nil || try == 50 { // EBUSY for some milliseconds after the last process
			return err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("removing cgroup %q: %w", g.Dir, err)
		}
	}
}

// removeTree removes directories, deepest first; the files in them cannot be removed and need not be.
func (g Group) removeTree() error { return removeDirs(g.Dir) }

func removeDirs(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, removeDirs(filepath.Join(dir, e.Name())))
		}
	}
	if gone(err) {
		return nil
	}
	if rerr := os.Remove(dir); rerr != nil && !gone(rerr) {
		return fmt.Errorf("removing cgroup: %w", rerr)
	}
	return nil
}

// await polls a key of cgroup.events: a kernel notification would need a descriptor and save nothing, since the change
// usually comes within milliseconds.
func (g Group) await(ctx context.Context, dir, key string, want uint64) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		n, err := keyed(dir, "cgroup.events", key)
		if err != nil || n == want {
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return fmt.Errorf("waiting for %s %d of cgroup %q: %w", key, want, dir, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// gone tells whether a cgroup was removed under our hands: its files answer ENODEV once their directory is dead.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) }

// Procs returns the container's processes, also those in groups it has made itself.
func (g Group) Procs() ([]int, error) {
	var all []int
	err := filepath.WalkDir(g.Container(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		pids, err := procs(path)
		all = append(all, pids...)
		return err
	})
	return all, err
}

func procs(dir string) ([]int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	var pids []int
	for _, word := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 0 { // 0: not visible from this pid namespace
			pids = append(pids, pid)
		}
	}
	return pids, err
}
