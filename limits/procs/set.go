package procs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Set is the processes of one container. Its methods are for one goroutine at a time; Open again for another.
type Set struct {
	proc *os.File              // a proc directory: of the container's pid namespace or the host's
	list func() ([]int, error) // numbers that are valid in proc
	buf  []byte                // for directory entries and small files
}

// ErrForeign is the error of a pid namespace that holds more than the container.
var ErrForeign = errors.New("not the container's own pid namespace")

// Open returns the set of the pid namespace whose first process has this host pid. The container's own proc mount is used
// when it is one: it is found by path inside the container, so what lies there is checked before anything is asked of it,
// and kept open, so that mounts made later change nothing. As long as it is not there, as during a birth, the host's /proc is
// searched at each listing.
// ErrForeign when the process is in this process's own pid namespace.
func Open(hostPid int) (*Set, error) {
	want := namespaceOf(hostPid)
	if want != "" && want == namespaceOf(os.Getpid()) {
		return nil, fmt.Errorf("process %d: %w", hostPid, ErrForeign)
	}
	proc, err := inner(hostPid, want)
	if err == nil {
		s := &Set{proc: proc, buf: make([]byte, 16<<10)}
		s.list = s.numbers
		return s, nil
	}
	if errors.Is(err, fs.ErrNotExist) && !exists(hostPid) {
		return nil, err
	}
	return openHost(func(s *Set) func() ([]int, error) { return s.until(hostPid, want) })
}

// OpenTree returns the descendants of a process, itself included, for containers with --pid host or container:X. A process
// which has lost its parent inside is missed.
func OpenTree(hostPid int) (*Set, error) {
	if !exists(hostPid) {
		return nil, fmt.Errorf("process %d: %w", hostPid, fs.ErrNotExist)
	}
	return openHost(func(s *Set) func() ([]int, error) {
		return func() ([]int, error) { return s.descendants(hostPid), nil }
	})
}

func openHost(list func(*Set) func() ([]int, error)) (*Set, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	s := &Set{proc: proc, buf: make([]byte, 16<<10)}
	s.list = list(s)
	return s, nil
}

// Close ends the use of the set.
func (s *Set) Close() error { return s.proc.Close() }

// Pids lists the processes by the set's own numbers; empty when the container has ended.
func (s *Set) Pids() ([]int, error) { return s.list() }

func exists(hostPid int) bool {
	_, err := os.Stat("/proc/" + strconv.Itoa(hostPid))
	return err == nil
}

// namespaceOf returns the name of a process's pid namespace, such as pid:[4026531836], empty when it is gone.
func namespaceOf(hostPid int) string {
	name, _ := os.Readlink("/proc/" + strconv.Itoa(hostPid) + "/ns/pid")
	return name
}

// inner opens the proc mount inside the container, after making sure that it is one, and this pid namespace's. The checks
// look at an O_PATH descriptor, which asks nothing of a file system that the container may have mounted there.
func inner(hostPid int, want string) (*os.File, error) {
	base := "/proc/" + strconv.Itoa(hostPid)
	root, err := syscall.Open(base+"/root", sys.OPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: base + "/root", Err: err}
	}
	defer syscall.Close(root)
	point, err := sys.OpenInRoot(root, "proc", sys.OPath|syscall.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer point.Close()
	if err := isProc(base, int(point.Fd())); err != nil {
		return nil, err
	}
	fd, err := syscall.Openat(int(point.Fd()), ".", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: base + "/root/proc", Err: err}
	}
	proc := os.NewFile(uintptr(fd), base+"/root/proc")
	if err := sameNamespace(fd, want); err != nil {
		_ = proc.Close()
		return nil, err
	}
	return proc, nil
}

// isProc compares the mount a descriptor is on with the container's mount table.
func isProc(base string, fd int) error {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile(base + "/mountinfo")
	if err != nil {
		return err
	}
	if !procMount(string(mounts), mountID(string(info))) {
		return ErrForeign
	}
	return nil
}

// mountID reads the mnt_id line of an fdinfo file (proc(5)).
func mountID(fdinfo string) string {
	_, rest, _ := strings.Cut(fdinfo, "mnt_id:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// procMount tells whether a mount is the root of a proc file system.
func procMount(mountinfo, id string) bool {
	for line := range strings.Lines(mountinfo) {
		front, back, _ := strings.Cut(line, " - ")
		f := strings.Fields(front)
		if len(f) > 4 && f[0] == id {
			return f[3] == "/" && strings.HasPrefix(back, "proc ")
		}
	}
	return false
}

// sameNamespace compares the namespace of process 1 of a proc directory with the wanted one.
func sameNamespace(fd int, want string) error {
	link := make([]byte, 64)
	n, err := sys.Readlinkat(fd, "1/ns/pid", link)
	if err != nil {
		return fmt.Errorf("reading pid namespace: %w", err)
	}
	if got := string(link[:n]); got != want {
		return fmt.Errorf("%s: %w", got, ErrForeign)
	}
	return nil
}
