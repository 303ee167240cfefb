package limitstest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleVariable tells a re-executed test binary what to be; private to this package.
const roleVariable = "MOSS_LIMITSTEST_ROLE"

// joinsVariable tells it how many descriptors from 3 on it writes "0" to, to join cgroups of version 1.
const joinsVariable = "MOSS_LIMITSTEST_JOINS"

// Joining lets a role join cgroups by descriptors.
func Joining(files []*os.File) func(*exec.Cmd) {
	return func(c *exec.Cmd) {
		c.ExtraFiles = files
		c.Env = append(c.Env, joinsVariable+"="+strconv.Itoa(len(files)))
	}
}

func join() error {
	n, _ := strconv.Atoi(os.Getenv(joinsVariable))
	for fd := 3; fd < 3+n; fd++ {
		if _, err := syscall.Write(fd, []byte("0")); err != nil {
			return err
		}
	}
	return os.Unsetenv(joinsVariable)
}

// Main runs the tests, or the role that Start has asked for.
func Main(m *testing.M) int {
	role, ok := os.LookupEnv(roleVariable)
	if !ok {
		return m.Run()
	}
	if err := play(strings.Fields(role)); err != nil {
		fmt.Println("limitstest:", err)
		return 1
	}
	return 0
}

// Container is a running role.
type Container struct {
	*exec.Cmd
	Pid int // on the host
}

// Start runs a role: "sleep", "hog MB" (takes memory and keeps it), "tree N MB" (N children that each are a hog), "spin",
// "spins N" (N children), "loop" (a shell's busy loop: one thread), "bomb N" (tries to have N children), "copy FILE" (writes it
// for ever), "dead" (a /proc that is none), "late MS" (which becomes one), "between N ROLE" (sets RLIMIT_NPROC to N and starts the
// role in a user namespace below, as a birth list does). It returns when the role has begun, and ends it with the test. Where user
// namespaces are not to be had the test is skipped.
func Start(t *testing.T, role string, change ...func(*exec.Cmd)) *Container {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.SysProcAttr = Namespaces()
	for _, f := range change {
		f(cmd)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		Missing(t, "user namespaces: %v", err)
	}
	c := &Container{cmd, cmd.Process.Pid}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	var ready [6]byte
	if _, err := out.Read(ready[:]); err != nil || string(ready[:]) != "ready\n" {
		t.Fatalf("role %q: %q, %v", role, ready, err)
	}
	return c
}

// Namespaces asks for a user namespace with the own id as root, pid and mount namespaces.
func Namespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Setsid:      true,
	}
}

// Missing skips the test for want of a precondition, or fails it where all tests must run.
func Missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Await polls until the condition holds.
func Await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatal("timed out waiting for " + what)
}

// Signal tells which signal ended the container.
func (c *Container) Signal() syscall.Signal {
	var exit *exec.ExitError
	if !errors.As(c.Wait(), &exit) {
		return 0
	}
	return exit.Sys().(syscall.WaitStatus).Signal()
}

func play(role []string) error {
	if err := join(); err != nil {
		return err
	}
	if os.Getpid() == 1 {
		if err := proc(role[0]); err != nil {
			return err
		}
	}
	if role[0] != "tree" && role[0] != "spins" {
		fmt.Println("ready")
	}
	argument := func(i int) int { n, _ := strconv.Atoi(role[i]); return n }
	switch role[0] {
	case "hog":
		hog(argument(1))
	case "tree":
		return children(argument(1), "hog "+role[2])
	case "spins":
		return children(argument(1), "spin")
	case "spin":
		signal.Reset()
		runtime.LockOSThread()
		for {
		}
	case "copy":
		return copyForEver(role[1])
	case "late":
		time.Sleep(time.Duration(argument(1)) * time.Millisecond)
		if err := mountProc(); err != nil {
			return err
		}
	case "loop":
		return syscall.Exec("/bin/sh", []string{"sh", "-c", "while :; do :; done"}, os.Environ())
	case "between":
		return between(argument(1), strings.Join(role[2:], " "))
	case "bomb":
		for range argument(1) {
			exec.Command("/bin/sleep", "1000").Start()
		}
	}
	time.Sleep(time.Hour)
	return nil
}

func proc(role string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if role == "dead" || role == "late" {
		return syscall.Mount("tmpfs", "/proc", "tmpfs", 0, "")
	}
	return mountProc()
}

func mountProc() error {
	return syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, "")
}

func hog(megabytes int) {
	b := make([]byte, megabytes<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	time.Sleep(time.Hour)
	runtime.KeepAlive(b)
}

func children(n int, role string) error {
	for range n {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), roleVariable+"="+role)
		if err := c.Start(); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	time.Sleep(time.Hour)
	return nil
}

// rlimitNproc is RLIMIT_NPROC.
const rlimitNproc = 6

func between(most int, role string) error {
	limit := syscall.Rlimit{Cur: uint64(most), Max: uint64(most)}
	if err := syscall.Setrlimit(rlimitNproc, &limit); err != nil {
		return err
	}
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), roleVariable+"="+role)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{Size: 1}},
	}
	return c.Run()
}

func copyForEver(file string) error {
	block := make([]byte, 1<<20)
	for {
		f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_TRUNC|syscall.O_DSYNC, 0o600)
		if err != nil {
			return err
		}
		f.Write(block)
		f.Close()
		time.Sleep(20 * time.Millisecond)
	}
}
