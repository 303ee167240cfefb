package userns

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// A Process identifies a process beyond the reuse of its pid, and beyond reboots, machines and pid namespaces that share
// the directory it is written into.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot, field 22 of /proc/PID/stat
	Where Where  `json:"where"`
}

// Where tells boots, machines and pid namespaces apart.
type Where struct {
	Machine string `json:"machine,omitempty"`
	Boot    string `json:"boot"`
	PIDNS   uint64 `json:"pidns"`
}

// Foreign tells that what was written there cannot be looked at from here: it is another machine's or another pid
// namespace's. Another boot of this machine is not foreign; what it left is dead.
func (w Where) Foreign() bool {
	here := Here()
	return w.Machine != here.Machine || w.Boot == here.Boot && w.PIDNS != here.PIDNS
}

// Here is the present machine, boot and pid namespace.
var Here = sync.OnceValue(func() Where {
	machine, _ := os.ReadFile("/etc/machine-id") // machine-id(5); may be missing
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	var st syscall.Stat_t
	_ = syscall.Stat("/proc/self/ns/pid", &st) // 0 without /proc, where nothing of ours works anyway
	return Where{Machine: strings.TrimSpace(string(machine)), Boot: strings.TrimSpace(string(boot)), PIDNS: st.Ino}
})

// Identity of a live (or zombie) process; the caller knows that pid cannot be reused meanwhile, as of a child.
func Observe(pid int) (Process, error) {
	st, err := ReadStat(pid)
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Start: st.Start, Where: Here()}, nil
}

// A Stat is what moss needs of /proc/PID/stat (proc_pid_stat(5)).
type Stat struct {
	State  byte // R, S, D, T, Z, …
	PPID   int
	Start  uint64
	Status syscall.WaitStatus // of a zombie; needs rights over the process
}

// ReadStat reads /proc/PID/stat.
func ReadStat(pid int) (Stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Stat{}, err
	}
	return parseStat(b)
}

func parseStat(b []byte) (st Stat, err error) {
	i := bytes.LastIndexByte(b, ')') // the name before it may hold anything
	f := strings.Fields(string(b[i+1:]))
	if i < 0 || len(f) < 50 {
		return st, fmt.Errorf("parsing a process's stat line of %d fields", len(f))
	}
	st.State = f[0][0]
	st.PPID, _ = strconv.Atoi(f[1])
	st.Start, err = strconv.ParseUint(f[19], 10, 64)
	if err != nil {
		return st, fmt.Errorf("parsing a process's start time: %w", err)
	}
	status, _ := strconv.ParseUint(f[49], 10, 32)
	st.Status = syscall.WaitStatus(status)
	return st, nil
}

// Open returns a pidfd of p, or os.ErrProcessDone when p has ended and been reaped, or its pid is somebody else's now. Another
// error (no descriptor left) says nothing about p.
func (p Process) Open() (pidfd int, err error) {
	if p.PID <= 0 || p.Where != Here() {
		return -1, os.ErrProcessDone
	}
	fd, err := sys.PidfdOpen(p.PID)
	if err != nil {
		return -1, done(err)
	}
	st, err := ReadStat(p.PID)
	if err == nil && st.Start == p.Start {
		return fd, nil
	}
	syscall.Close(fd)
	if err != nil {
		return -1, done(err)
	}
	return -1, os.ErrProcessDone
}

// done is os.ErrProcessDone where err says that there is no such process, else err.
func done(err error) error {
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, fs.ErrNotExist) {
		return os.ErrProcessDone
	}
	return err
}

// Alive tells whether p still runs; a zombie does not. What cannot be read for another reason than p's end (no descriptor
// left) is taken for alive: nothing may be removed or started anew on a guess.
func (p Process) Alive() bool {
	if p.PID <= 0 || p.Where != Here() {
		return false
	}
	st, err := ReadStat(p.PID)
	if err != nil {
		return !errors.Is(done(err), os.ErrProcessDone)
	}
	return st.Start == p.Start && st.State != 'Z' && st.State != 'X'
}
