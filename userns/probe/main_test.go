package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/role"
	"github.com/moss-sandbox/moss/userns/sys"
)

// sceneEnv makes the test binary spoil its own process in a named way and measure then; private to these tests.
const sceneEnv = "MOSS_TEST_PROBE_SCENE"

func TestMain(m *testing.M) { os.Exit(stage(m)) }

func stage(m *testing.M) int {
	inv, err := role.Invoked()
	switch {
	case err == nil && inv != nil:
		err = RunInside(inv)
	case err == nil && os.Getenv(sceneEnv) != "":
		err = playScene(os.Getenv(sceneEnv), os.Args[1])
	case err == nil:
		return m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 125
	}
	return 0
}

// playScene spoils the process, measures, and prints the Facts.
func playScene(name, dataRoot string) error {
	spoil := map[string]func() error{
		"seccomp": refuseNamespaces,
		"max":     func() error { return os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0) },
		"masked":  func() error { return syscall.Mount("/dev/null", "/proc/version", "", syscall.MS_BIND, "") },
	}
	if err := spoil[name](); err != nil {
		return fmt.Errorf("scene %q: %w", name, err)
	}
	id, err := userns.Identify()
	if err != nil {
		return err
	}
	f, err := Host(context.Background(), Request{Identity: id, DataRoot: dataRoot})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

// scene measures in a child that was spoiled; namespaces are what it gets first, with the own id as root.
func scene(t *testing.T, name string, flags uintptr) Facts {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", dataRootFor(t))
	cmd.Env = append(os.Environ(), sceneEnv+"="+name)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if flags != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  flags,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	if err := cmd.Run(); err != nil {
		requireOrSkip(t, "scene %q: %v %s", name, err, errs.String())
	}
	var f Facts
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	return f
}

// refuseNamespaces installs what Docker's and systemd's filters do: clone3 is hidden, clone and unshare of a user namespace refused.
func refuseNamespaces() error {
	const (
		load, jumpEq, jumpSet, ret = 0x20, 0x15, 0x45, 0x06
		allow, errno               = 0x7fff0000, 0x00050000
		nr, firstArgument          = 0, 16
	)
	prog := []syscall.SockFilter{
		{Code: load, K: nr},
		{Code: jumpEq, Jf: 1, K: sys.SYS_CLONE3}, {Code: ret, K: errno | uint32(syscall.ENOSYS)},
		{Code: jumpEq, Jt: 1, K: syscall.SYS_UNSHARE}, {Code: jumpEq, Jf: 3, K: syscall.SYS_CLONE},
		{Code: load, K: firstArgument},
		{Code: jumpSet, Jf: 1, K: syscall.CLONE_NEWUSER}, {Code: ret, K: errno | uint32(syscall.EPERM)},
		{Code: ret, K: allow},
	}
	fprog := syscall.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const prSetNoNewPrivs, setModeFilter, tsync = 38, 1, 1
	if _, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); e != 0 {
		return e
	}
	if r, _, e := syscall.RawSyscall(sys.SYS_SECCOMP, setModeFilter, tsync, uintptr(unsafe.Pointer(&fprog))); e != 0 || r != 0 {
		return fmt.Errorf("installing the filter: %d %w", r, e)
	}
	return nil
}

// dataRootFor is a data root that is not there yet, reachable by whoever is root inside.
func dataRootFor(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "moss-probe-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir + "/share/moss"
}

// requireOrSkip ends the test: as a failure where everything must run (MOSS_TEST_MUST_RUN=1).
func requireOrSkip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
