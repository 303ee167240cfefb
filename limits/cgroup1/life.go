package cgroup1

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

	"github.com/moss-sandbox/moss/limits/cgroup"
)

// ErrNoFreezer is the error of a host whose freezer is not ours to use.
var ErrNoFreezer = errors.New("no cgroup freezer")

// Freeze stops every process and returns when all are stopped.
func (g Group) Freeze(ctx context.Context) error {
	dir, ok := g.Dirs["freezer"]
	if !ok {
		return ErrNoFreezer
	}
	for {
		// Written again each time: a process that forks meanwhile keeps the group FREEZING.
		if err := write(dir, "freezer.state", "FROZEN"); err != nil {
			return err
		}
		if text(dir, "freezer.state") == "FROZEN" {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("freezing cgroup %q: %w", dir, err)
		}
	}
}

// Thaw lets the container go on.
func (g Group) Thaw() error {
	dir, ok := g.Dirs["freezer"]
	if !ok {
		return ErrNoFreezer
	}
	return write(dir, "freezer.state", "THAWED")
}

// Kill ends every process, frozen or not; it does not wait.
func (g Group) Kill() error {
	for range 100 {
		pids := g.procs()
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
		}
		if err := g.Thaw(); err != nil && !errors.Is(err, ErrNoFreezer) && !errors.Is(err, fs.ErrNotExist) {
			return err // a frozen process does not die
		}
		if len(pids) == 0 {
			return nil
		}
	}
	return nil
}

// procs lists the processes of any of the groups.
func (g Group) procs() []int {
	for _, dir := range g.unique() {
		var pids []int
		for _, word := range strings.Fields(text(dir, "cgroup.procs")) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		if len(pids) > 0 {
			return pids
		}
	}
	return nil
}

// Remove waits until the groups are empty and removes them. Groups that are gone are no error.
func (g Group) Remove(ctx context.Context) error {
	for {
		err := g.removeDirs()
		if err == nil {
			return nil
		}
		if cerr := pause(ctx); cerr != nil {
			return fmt.Errorf("removing cgroups: %w", errors.Join(err, cerr))
		}
	}
}

func (g Group) removeDirs() error {
	var failed error
	for _, dir := range g.unique() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Millisecond):
		return nil
	}
}

// OOMKills is the number of OOM kills (memory.oom_control, Linux 4.13).
func (g Group) OOMKills() (uint64, error) {
	if _, ok := g.Dirs["memory"]; !ok {
		return 0, nil
	}
	return keyed(text(g.Dirs["memory"], "memory.oom_control"), "oom_kill"), nil
}

// Usage reads the same numbers as version 2 has; a controller that is not there is missing in Has.
func (g Group) Usage() (cgroup.Usage, error) {
	var u cgroup.Usage
	for _, dir := range g.unique() {
		if _, err := os.Stat(dir); err != nil {
			return u, err
		}
	}
	if dir, ok := g.Dirs["cpuacct"]; ok {
		u.CPU, u.CPUUser, u.CPUSystem = number(dir, "cpuacct.usage"), number(dir, "cpuacct.usage_user"), number(dir, "cpuacct.usage_sys")
		u.Has.CPU = true
	}
	if dir, ok := g.Dirs["memory"]; ok {
		u.Raw, u.Max = number(dir, "memory.usage_in_bytes"), number(dir, "memory.limit_in_bytes")
		u.Inactive = keyed(text(dir, "memory.stat"), "total_inactive_file")
		u.Memory = u.Raw - min(u.Raw, u.Inactive)
		u.OOMKills, _ = g.OOMKills()
		u.Has.Memory = true
	}
	if dir, ok := g.Dirs["pids"]; ok {
		u.Pids, u.Has.Pids = number(dir, "pids.current"), true
	}
	if dir, ok := g.Dirs["blkio"]; ok {
		u.Read, u.Write = serviced(text(dir, "blkio.throttle.io_service_bytes"))
		u.Has.IO = true
	}
	return u, nil
}

// serviced sums lines of "MAJ:MIN Read N" and "MAJ:MIN Write N".
func serviced(text string) (read, write uint64) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		n, _ := strconv.ParseUint(f[2], 10, 64)
		switch f[1] {
		case "Read":
			read += n
		case "Write":
			write += n
		}
	}
	return read, write
}

func text(dir, file string) string {
	b, _ := os.ReadFile(filepath.Join(dir, file))
	return strings.TrimSpace(string(b))
}

func number(dir, file string) uint64 {
	n, _ := strconv.ParseUint(text(dir, file), 10, 64)
	return n
}

// keyed finds the number behind a key in lines of "KEY NUMBER".
func keyed(text, key string) uint64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key+" "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(rest), 10, 64)
			return n
		}
	}
	return 0
}
