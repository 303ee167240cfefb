package stats

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/limits/procs"
)

// Sample is what a container had used at one moment; counters since its start. The API's stats are made of it.
type Sample struct {
	Time time.Time

	CPU       uint64 // nanoseconds
	CPUUser   uint64
	CPUSystem uint64
	Machine   Machine

	Memory   uint64 // bytes, without inactive file cache
	Raw      uint64 // with it; the same where no cgroup counts it
	Inactive uint64
	Limit    uint64 // the container's limit, or the machine's memory
	OOMKills uint64

	Read  uint64 // bytes from and to block devices
	Write uint64
	Pids  uint64
	Nets  []procs.Interface // without lo; none on the host's network
}

// Machine is the share of a sample that is the same for all containers; read it once a round.
type Machine struct {
	CPU    uint64 // nanoseconds, all CPUs, idle time included
	CPUs   int    // online
	Memory uint64 // bytes
}

// ReadMachine reads /proc/stat and /proc/meminfo.
func ReadMachine() Machine {
	stat, _ := os.ReadFile("/proc/stat")
	info, _ := os.ReadFile("/proc/meminfo")
	m := parseMachine(string(stat))
	m.Memory = parseTotal(string(info))
	return m
}

// parseMachine sums the first seven columns of the first line, as docker does, and counts the lines of CPUs (proc_stat(5)).
func parseMachine(stat string) Machine {
	var m Machine
	for line := range strings.Lines(stat) {
		fields := strings.Fields(line)
		switch {
		case len(fields) < 8 || !strings.HasPrefix(fields[0], "cpu"):
			return m
		case fields[0] != "cpu":
			m.CPUs++
			continue
		}
		for _, field := range fields[1:8] {
			ticks, _ := strconv.ParseUint(field, 10, 64)
			m.CPU += ticks * nanosecondsPerTick
		}
	}
	return m
}

const nanosecondsPerTick = uint64(time.Second) / procs.Hertz

// parseTotal reads the first line of /proc/meminfo, MemTotal.
func parseTotal(meminfo string) uint64 {
	_, rest, _ := strings.Cut(meminfo, "MemTotal:")
	line, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	return n << 10
}
