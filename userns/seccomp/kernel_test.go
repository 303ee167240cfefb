//go:build linux && amd64

package seccomp_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/userns/seccomp"
	"github.com/moss-sandbox/moss/userns/seccomp/seccomptest"
)

// childVariable selects, in a child of the test binary, the filter to load before it makes the probes. Private to this test.
const childVariable = "MOSS_SECCOMP_TEST_FILTER"

func TestMain(m *testing.M) {
	if filter, ok := os.LookupEnv(childVariable); ok {
		probeUnder(filter)
		return
	}
	os.Exit(m.Run())
}

// probe is one call, by one door of the kernel.
type probe struct {
	name string
	call func() syscall.Errno
}

func probes() []probe {
	native := func(number uintptr, args ...uintptr) func() syscall.Errno {
		a := append(args, 0, 0, 0)
		return func() syscall.Errno {
			_, _, errno := syscall.RawSyscall(number, a[0], a[1], a[2])
			return errno
		}
	}
	i386 := func(number uintptr, args ...uintptr) func() syscall.Errno {
		a := append(args, 0, 0, 0)
		return func() syscall.Errno {
			_, errno := seccomptest.Int80(number, a[0], a[1], a[2], 0, 0)
			return errno
		}
	}
	const x32, raw, tiocsti = 0x40000000, syscall.SOCK_RAW, 0x5412
	return []probe{
		{"socket inet", native(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM)},
		{"socket alg", native(syscall.SYS_SOCKET, 38, syscall.SOCK_SEQPACKET)},
		{"socket alg, high bits", native(syscall.SYS_SOCKET, 1<<32|38, syscall.SOCK_SEQPACKET)},
		{"socket vsock", native(syscall.SYS_SOCKET, 40, syscall.SOCK_STREAM)},
		{"socket vsock, high bits", native(syscall.SYS_SOCKET, 1<<40|40, syscall.SOCK_STREAM)},
		{"i386 socket inet", i386(359, syscall.AF_INET, syscall.SOCK_STREAM)},
		{"i386 socket alg", i386(359, 38, syscall.SOCK_SEQPACKET)},
		{"i386 socketcall", i386(102, 1, 0)},
		{"i386 keyctl", i386(288)},
		{"i386 getpid", i386(20)},
		{"i386 newest", i386(600)},
		{"x32 keyctl", native(x32 | 250)},
		{"x32 socket alg", native(x32|syscall.SYS_SOCKET, 38, syscall.SOCK_SEQPACKET)},
		{"x32 newest", native(x32 | 600)},
		{"keyctl", native(250)},
		{"io_uring_setup", native(425)},
		{"userfaultfd", native(323)},
		{"unshare user", native(syscall.SYS_UNSHARE, syscall.CLONE_NEWUSER)},
		{"mount", native(syscall.SYS_MOUNT)},
		{"clone3", native(435)},
		{"open_tree_attr", native(467)},
		{"unused number", native(600)},
		{"personality query", native(syscall.SYS_PERSONALITY, 0xffffffff)},
		{"personality 0x1234", native(syscall.SYS_PERSONALITY, 0x1234)},
		{"ioctl tiocsti", native(syscall.SYS_IOCTL, ^uintptr(0), tiocsti)},
		{"ioctl tiocsti, high bits", native(syscall.SYS_IOCTL, ^uintptr(0), 0x123<<32|tiocsti)},
		{"ioctl tcgets", native(syscall.SYS_IOCTL, ^uintptr(0), syscall.TCGETS)},
		{"setuid", native(syscall.SYS_SETUID, 33)},
		{"chown", native(syscall.SYS_CHOWN)},
		{"i386 chown32", i386(212)},
		{"getpid", native(syscall.SYS_GETPID)},
		{"ptrace", native(syscall.SYS_PTRACE, 0xdead)},
	}
}

func probeUnder(name string) {
	runtime.LockOSThread()
	if err := loadNamed(name); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	seen := map[string]string{}
	i386 := seccomptest.HasI386()
	for _, p := range probes() {
		if !i386 && strings.HasPrefix(p.name, "i386") {
			continue
		}
		seen[p.name] = errnoName(p.call())
	}
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func loadNamed(name string) error {
	filter, err := seccomp.Default(seccomp.Native, seccomp.DefaultCaps)
	if err != nil || name == "none" {
		return err
	}
	if name == "single" {
		single, err := seccomp.SingleID(seccomp.Native)
		if err != nil {
			return err
		}
		if filter, err = seccomp.Join(single, filter); err != nil {
			return err
		}
	}
	return seccomptest.Load(filter)
}

func errnoName(e syscall.Errno) string {
	switch e {
	case 0:
		return "ok"
	case syscall.EPERM:
		return "EPERM"
	case syscall.ENOSYS:
		return "ENOSYS"
	}
	return "other: " + e.Error()
}

func probeChild(t *testing.T, filter string) map[string]string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childVariable+"="+filter)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child with filter %s: %v, output %q", filter, err, out)
	}
	seen := map[string]string{}
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

// The kernel takes the filter and refuses by every door; the same probes without it are the control.
func TestKernelRefusesByEveryDoor(t *testing.T) {
	want := map[string]string{
		"socket inet": "ok", "socket alg": "EPERM", "socket alg, high bits": "EPERM", "socket vsock": "EPERM",
		"socket vsock, high bits": "EPERM", "i386 socket inet": "ok", "i386 socket alg": "EPERM",
		"i386 socketcall": "ENOSYS", "i386 keyctl": "EPERM", "i386 getpid": "ok", "i386 newest": "ENOSYS",
		"x32 keyctl": "EPERM", "x32 socket alg": "EPERM", "x32 newest": "ENOSYS", "keyctl": "EPERM",
		"io_uring_setup": "EPERM", "userfaultfd": "EPERM", "unshare user": "EPERM", "mount": "EPERM", "clone3": "ENOSYS",
		"open_tree_attr": "ENOSYS", "unused number": "ENOSYS", "personality query": "ok", "personality 0x1234": "EPERM",
		"ioctl tiocsti": "EPERM", "ioctl tiocsti, high bits": "EPERM", "getpid": "ok",
	}
	refused, open := probeChild(t, "default"), probeChild(t, "none")
	for name, answer := range want {
		if !seccomptest.HasI386() && strings.HasPrefix(name, "i386") {
			continue // this kernel has the door bricked up: the interpreter's tests must do
		}
		if refused[name] != answer {
			t.Errorf("%s: %s, want %s", name, refused[name], answer)
		}
	}
	for _, name := range []string{"ioctl tcgets", "chown", "ptrace"} {
		if !strings.HasPrefix(refused[name], "other") {
			t.Errorf("%s: %s, want the kernel's own answer", name, refused[name])
		}
	}
	control := 0
	for name, answer := range want {
		if answer == "EPERM" && open[name] != "EPERM" {
			control++
		}
	}
	if control < 8 {
		t.Errorf("control: without a filter only %d of the refused calls get another answer: %v", control, open)
	}
}

func TestKernelFakesForTheSingleID(t *testing.T) {
	single, plain := probeChild(t, "single"), probeChild(t, "default")
	for _, name := range []string{"setuid", "chown", "i386 chown32"} {
		if _, made := single[name]; !made && !seccomptest.HasI386() {
			continue
		}
		if single[name] != "ok" {
			t.Errorf("%s: %s", name, single[name])
		}
	}
	if plain["chown"] == "ok" {
		t.Error("control: chown of no path succeeds without the single-id filter")
	}
	if single["socket alg"] != "EPERM" || single["unused number"] != "ENOSYS" {
		t.Errorf("the container's filter does not judge after the single-id one: %v", single)
	}
}
