package procs

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// Memory of one process, bytes.
type Memory struct {
	Resident     int64 // every page counted whole
	Proportional int64 // a page shared by n processes counted as 1/n
	Swap         int64 // proportional
}

// Resident reads the resident set of a process; cheap, an upper bound of the proportional one.
func (s *Set) Resident(pid int) int64 {
	fields := strings.Fields(string(s.read(pid, "statm")))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// Memory walks the page tables of a process (smaps_rollup, Linux 4.14): about a millisecond per hundred megabytes.
func (s *Set) Memory(pid int) Memory {
	var m Memory
	for line := range strings.Lines(string(s.read(pid, "smaps_rollup"))) {
		key, rest, _ := strings.Cut(line, ":")
		switch key {
		case "Rss":
			m.Resident = kilobytes(rest)
		case "Pss":
			m.Proportional = kilobytes(rest)
		case "SwapPss":
			m.Swap = kilobytes(rest)
		}
	}
	return m
}

// kilobytes reads "   123 kB".
func kilobytes(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
	return n << 10
}

// Status is what stat says of one process.
type Status struct {
	Pid, Parent int
	State       byte   // R, S, D, T, Z … (proc_pid_stat(5))
	Ticks       uint64 // CPU time of the process and of its children that it has waited for, in 1/100 s
	User        uint64 // the part of Ticks in user mode
}

// Hertz is the unit of Ticks: USER_HZ, 100 on every architecture Go runs on.
const Hertz = 100

// Status reads stat; ok is false when the process is gone.
func (s *Set) Status(pid int) (Status, bool) { return parseStat(pid, s.read(pid, "stat")) }

// parseStat reads the fields behind the name, which may itself hold anything but is the last with a parenthesis.
func parseStat(pid int, text []byte) (Status, bool) {
	end := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	if end < 0 || len(fields) < 15 {
		return Status{}, false
	}
	st := Status{Pid: pid, State: fields[0][0]}
	st.Parent, _ = strconv.Atoi(fields[1])
	var times [4]uint64 // utime stime cutime cstime
	for i := range times {
		times[i], _ = strconv.ParseUint(fields[11+i], 10, 64)
	}
	st.User = times[0] + times[2]
	st.Ticks = st.User + times[1] + times[3]
	return st, true
}

// IO reads the bytes a process and its waited-for children have read from and written to block devices (proc_pid_io(5)).
func (s *Set) IO(pid int) (read, written uint64) {
	for line := range strings.Lines(string(s.read(pid, "io"))) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, _ := strconv.ParseUint(value, 10, 64)
		switch key {
		case "read_bytes":
			read = n
		case "write_bytes":
			written = n
		}
	}
	return read, written
}

// Interface is the traffic of one network interface.
type Interface struct {
	Name                               string
	RxBytes, RxPackets, RxErrs, RxDrop uint64
	TxBytes, TxPackets, TxErrs, TxDrop uint64
}

// Network reads the interfaces of a process's network namespace without lo.
func (s *Set) Network(pid int) []Interface { return parseNetDev(string(s.read(pid, "net/dev"))) }

// parseNetDev reads two lines of headings and one line an interface: eight columns received, eight sent (proc_pid_net(5)).
func parseNetDev(text string) []Interface {
	var all []Interface
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		name = strings.TrimSpace(name)
		if !ok || len(fields) < 16 || name == "lo" {
			continue
		}
		var n [16]uint64
		for i := range n {
			n[i], _ = strconv.ParseUint(fields[i], 10, 64)
		}
		all = append(all, Interface{name, n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11]})
	}
	return all
}
