package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Usage is what a container's cgroup has used. What a controller that is not there would have counted is zero, and its name
// is missing in Has.
type Usage struct {
	Has Has

	CPU       uint64 // nanoseconds
	CPUUser   uint64
	CPUSystem uint64
	Memory    uint64 // bytes, without the inactive file cache, as docker shows it
	Raw       uint64 // memory.current
	Inactive  uint64 // inactive_file of memory.stat
	Max       uint64 // the limit in force, 0 for none
	OOMKills  uint64
	Read      uint64 // bytes from block devices
	Write     uint64
	Pids      uint64
}

// Has tells which groups of numbers are real.
type Has struct{ CPU, Memory, IO, Pids bool }

// Usage reads the files of the container's leaf. A file that is absent is a controller that is not there, not an error;
// only a group that is gone is (fs.ErrNotExist).
func (g Group) Usage() (Usage, error) {
	dir := g.Container()
	if _, err := os.Stat(dir); err != nil {
		return Usage{}, err
	}
	var u Usage
	u.cpu(dir)
	u.memory(dir)
	u.io(dir)
	u.Pids, u.Has.Pids = single(dir, "pids.current")
	return u, nil
}

func (u *Usage) cpu(dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return
	}
	stat := parseKeyed(string(text))
	u.CPU, u.CPUUser, u.CPUSystem = 1000*stat["usage_usec"], 1000*stat["user_usec"], 1000*stat["system_usec"]
	u.Has.CPU = true
}

func (u *Usage) memory(dir string) {
	if u.Raw, u.Has.Memory = single(dir, "memory.current"); !u.Has.Memory {
		return
	}
	u.Inactive, _ = keyed(dir, "memory.stat", "inactive_file")
	u.Memory = u.Raw - min(u.Inactive, u.Raw)
	u.Max, _ = single(dir, "memory.max")
	u.OOMKills, _ = keyed(dir, "memory.events", "oom_kill")
}

func (u *Usage) io(dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "io.stat"))
	if err == nil {
		u.Read, u.Write = parseIO(string(text))
		u.Has.IO = true
	}
}

// OOMKills is the number of OOM kills in the container since its birth. More than zero means killed for memory; the number
// itself means little, one kill counts each process that shared the memory.
func (g Group) OOMKills() (uint64, error) { return keyed(g.Dir, "memory.events", "oom_kill") }

// MemoryEvents opens the file which becomes ready for poll(2) with POLLPRI when OOMKills may have changed; the caller reads
// it once before the first poll and again after each, and closes it.
func (g Group) MemoryEvents() (*os.File, error) {
	return os.Open(filepath.Join(g.Dir, "memory.events"))
}

// Refused is how often a fork failed for pids.max. The leaf counts it: it is charged first, and before Linux 6.11 nothing
// above it learns of it.
func (g Group) Refused() (uint64, error) { return keyed(g.Container(), "pids.events", "max") }

// single reads a file with one number; "max" is zero.
func single(dir, file string) (uint64, bool) {
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, false
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, true
}

// keyed reads one number of a flat keyed file, 0 when the key is not there.
func keyed(dir, file, key string) (uint64, error) {
	text, err := os.ReadFile(filepath.Join(dir, file))
	for line := range strings.Lines(string(text)) {
		if number, ok := strings.CutPrefix(line, key); ok && strings.HasPrefix(number, " ") {
			n, _ := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
			return n, err
		}
	}
	return 0, err
}

// parseKeyed reads lines of "KEY NUMBER".
func parseKeyed(text string) map[string]uint64 {
	values := map[string]uint64{}
	for line := range strings.Lines(text) {
		key, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			values[key] = n
		}
	}
	return values
}

// parseIO sums io.stat, lines of "MAJ:MIN rbytes=N wbytes=N rios=N …", over the devices.
func parseIO(text string) (read, write uint64) {
	for _, word := range strings.Fields(text) {
		key, number, _ := strings.Cut(word, "=")
		n, err := strconv.ParseUint(number, 10, 64)
		switch {
		case err != nil:
		case key == "rbytes":
			read += n
		case key == "wbytes":
			write += n
		}
	}
	return read, write
}
