package main

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/moss-sandbox/moss/tests/confine/sight"
)

const (
	sysPidfdOpen      = 434
	sysPidfdGetfd     = 438
	sysProcessVMReadv = 310
	// listBase is where userns/spawn loads the program of a list.
	listBase = 0x10000000
)

// attacker attacks the processes that appear after it, until they run the container's own program: what it gets of a
// process before that is what a foreign process brought in.
type attacker struct {
	sight.Wins
	own map[string]bool // device and inode of the programs of this root
	pid int
	dir string
}

func attack(d time.Duration) sight.Wins {
	runtime.LockOSThread() // ptrace belongs to the thread
	a := &attacker{Wins: sight.Wins{Won: map[string]int{}}, own: map[string]bool{}}
	for _, path := range []string{"/proc/self/exe", "/bin/busybox", "/bin/true", "/probe"} {
		if info, err := os.Stat(path); err == nil {
			a.own[describe(info).Same] = true
		}
	}
	last := lastPID()
	for end := time.Now().Add(d); time.Now().Before(end) && !told(); {
		for next, newest := last+1, lastPID()+2; next <= newest; next++ {
			a.pid, a.dir = next, "/proc/"+strconv.Itoa(next)
			if _, err := os.Lstat(a.dir); err != nil {
				continue
			}
			a.Seen++
			a.harass()
			last = next
			break
		}
	}
	return a.Wins
}

// told tells whether the attack is called off: the test makes a file.
func told() bool {
	_, err := os.Lstat("/tmp/enough")
	return err == nil
}

// lastPID is the number given last in this pid namespace.
func lastPID() int {
	if f := strings.Fields(text("/proc/loadavg")); len(f) == 5 {
		if n, err := strconv.Atoi(f[4]); err == nil {
			return n
		}
	}
	return os.Getpid()
}

// harass repeats every attack on one process until it has become the container's own, or is gone.
func (a *attacker) harass() {
	for n := range 5000 {
		if syscall.Kill(a.pid, 0) == syscall.ESRCH || a.isOwn() {
			return
		}
		a.memory()
		a.maps()
		a.root()
		a.descriptors()
		a.readv()
		if n%4 == 0 {
			a.trace()
		}
	}
}

func (a *attacker) won(what, example string) {
	a.Won[what]++
	if a.Example == "" {
		a.Example = what + " of " + a.dir + ": " + example
	}
}

func (a *attacker) count(err error) bool {
	a.Tried++
	if os.IsPermission(err) {
		a.Refused++
	}
	return err == nil
}

// isOwn opens the program; a foreign one that opens is a win, since it could be opened for writing later (CVE-2019-5736).
func (a *attacker) isOwn() bool {
	f, err := os.Open(a.dir + "/exe")
	if !a.count(err) {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || a.own[describe(info).Same] {
		return err == nil
	}
	link, _ := os.Readlink(a.dir + "/exe")
	a.won("program", link)
	return false
}

// memory reads where a list lies; through the open file memory could be written as well.
func (a *attacker) memory() {
	f, err := os.OpenFile(a.dir+"/mem", os.O_RDWR, 0)
	if !a.count(err) {
		return
	}
	defer f.Close()
	var b [4]byte
	if n, _ := f.ReadAt(b[:], listBase); n == 4 && string(b[:]) == "\x7fELF" {
		a.won("memory", "list")
	}
}

func (a *attacker) maps() {
	b, err := os.ReadFile(a.dir + "/maps")
	if !a.count(err) {
		return
	}
	for _, foreign := range []string{"memfd:", "/moss", "nsenter", "setpriv"} {
		if bytes.Contains(b, []byte(foreign)) {
			a.won("map", foreign)
			return
		}
	}
}

func (a *attacker) root() {
	info, err := os.Stat(a.dir + "/root")
	if !a.count(err) {
		return
	}
	mine, err := os.Stat("/")
	if err == nil && describe(info).Same != describe(mine).Same {
		a.won("root", a.dir)
	}
}

// descriptors copies what the process holds above 2; the container's own programs here hold nothing there.
func (a *attacker) descriptors() {
	pidfd, _, errno := syscall.RawSyscall(sysPidfdOpen, uintptr(a.pid), 0, 0)
	if errno != 0 {
		return
	}
	defer syscall.Close(int(pidfd))
	for _, fd := range []uintptr{3, 4, 5, 8, 60, 100} {
		got, _, errno := syscall.RawSyscall(sysPidfdGetfd, pidfd, fd, 0)
		if !a.count(asError(errno)) {
			continue
		}
		link, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(got)))
		a.won("descriptor", link)
		syscall.Close(int(got))
	}
}

func (a *attacker) readv() {
	var b [4]byte
	local := [2]uintptr{uintptr(unsafe.Pointer(&b)), 4}
	remote := [2]uintptr{listBase, 4}
	_, _, errno := syscall.RawSyscall6(sysProcessVMReadv, uintptr(a.pid), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote)), 1, 0)
	if a.count(asError(errno)) && string(b[:]) == "\x7fELF" {
		a.won("process_vm_readv", "list")
	}
}

// trace stops the process and looks what it is then.
func (a *attacker) trace() {
	const seize, interrupt, detach, wall = 0x4206, 0x4207, 17, 0x40000000
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, seize, uintptr(a.pid), 0, 0, 0, 0)
	if !a.count(asError(errno)) {
		return
	}
	syscall.RawSyscall6(syscall.SYS_PTRACE, interrupt, uintptr(a.pid), 0, 0, 0, 0)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(a.pid, &status, wall, nil); err != nil || !status.Stopped() {
		return
	}
	if !a.isOwn() {
		a.won("ptrace", "stopped before its program")
	}
	syscall.RawSyscall6(syscall.SYS_PTRACE, detach, uintptr(a.pid), 0, 0, 0, 0)
}

func asError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
