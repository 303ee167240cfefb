package engine

import (
	"context"
	"os"
	"os/user"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// A Process is one process of a container, as this machine sees it.
type Process struct {
	PID, Parent int
	User        string // of this machine, as ps(1) shows it
	UID         int
	State       string
	Started     time.Time
	CPU         time.Duration
	Terminal    string
	Virtual     int64 // bytes
	Resident    int64 // bytes
	Name        string
	Command     string
}

// Top lists a running container's processes, oldest first. It reads /proc and starts nothing: neither of the image nor of
// this machine.
func (e *Engine) Top(ctx context.Context, name string) ([]Process, error) {
	c, err := e.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := foreign(c); err != nil {
		return nil, err
	}
	if !running(c) {
		return nil, stateError("container %s is not running", c.ID)
	}
	var out []Process
	for _, pid := range e.processes(c) {
		if p, ok := observe(pid); ok {
			out = append(out, p)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].PID < out[j].PID })
	return out, nil
}

// processes are the pids of a container: those of its pid namespace. In the host's namespace they are the descendants of
// its first process.
func (e *Engine) processes(c *sandbox.Snapshot) (out []int) {
	entries, _ := os.ReadDir("/proc")
	first := c.State.Guest.PID
	ns, err := os.Readlink("/proc/" + strconv.Itoa(first) + "/ns/pid")
	own := err == nil && c.Spec.Host.PID != spec.FromHost
	parents := map[int]int{}
	for _, d := range entries {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		if own {
			if link, err := os.Readlink("/proc/" + d.Name() + "/ns/pid"); err == nil && link == ns {
				out = append(out, pid)
			}
			continue
		}
		if f := statFields(pid); len(f) > 1 {
			parents[pid], _ = strconv.Atoi(f[1])
		}
	}
	for pid := range parents {
		if descends(parents, pid, first) {
			out = append(out, pid)
		}
	}
	return out
}

// descends walks up from pid; the number of steps is bounded since what was read is no snapshot.
func descends(parents map[int]int, pid, from int) bool {
	for range len(parents) + 1 {
		if pid == from {
			return true
		}
		if pid = parents[pid]; pid == 0 {
			return false
		}
	}
	return false
}

// statFields are the fields of /proc/PID/stat from the state on, number 3 of proc_pid_stat(5); none if it is gone.
func statFields(pid int) []string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
}

// ticks is USER_HZ, 100 on every architecture.
const ticks = 100

// observe reads one process; false if it is gone.
func observe(pid int) (Process, bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	f := statFields(pid)
	if len(f) < 22 {
		return Process{}, false
	}
	n := func(field int) int64 { v, _ := strconv.ParseInt(f[field-3], 10, 64); return v }
	p := Process{
		PID: pid, Parent: int(n(4)), State: f[0], CPU: time.Duration(n(14)+n(15)) * time.Second / ticks, Terminal: terminalName(int(n(7))),
		Started: bootTime().Add(time.Duration(n(22)) * time.Second / ticks), Virtual: n(23), Resident: n(24) * int64(os.Getpagesize()),
	}
	comm, _ := os.ReadFile(dir + "/comm") // gone meanwhile: an empty name
	p.Name = strings.TrimSpace(string(comm))
	args, _ := os.ReadFile(dir + "/cmdline")
	p.Command = strings.ReplaceAll(strings.TrimRight(string(args), "\x00"), "\x00", " ")
	if p.Command == "" {
		p.Command = "[" + p.Name + "]"
	}
	status, _ := os.ReadFile(dir + "/status")
	_, rest, _ := strings.Cut(string(status), "\nUid:")
	if ids := strings.Fields(rest); len(ids) > 1 {
		p.UID, _ = strconv.Atoi(ids[1])
	}
	p.User = strconv.Itoa(p.UID)
	if u, err := user.LookupId(p.User); err == nil {
		p.User = u.Username
	}
	return p, true
}

// terminalName is the TTY column: pts/N for pseudo terminals (major 136 and up), else "?".
func terminalName(dev int) string {
	major, minor := dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
	if major < 136 || major > 143 {
		return "?"
	}
	return "pts/" + strconv.Itoa((major-136)<<8+minor)
}

// bootTime is btime of /proc/stat.
func bootTime() time.Time {
	b, _ := os.ReadFile("/proc/stat")
	_, rest, _ := strings.Cut(string(b), "\nbtime ")
	line, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseInt(line, 10, 64)
	return time.Unix(n, 0)
}
