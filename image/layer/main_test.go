package layer

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// insideEnv is set in the child of TestMain that runs inside a user namespace of the own id alone; private.
const insideEnv = "MOSS_TEST_LAYER_INSIDE"

// TestMain runs the tests twice: with all ids, when the caller is root, and with the single id in a user namespace.
func TestMain(m *testing.M) {
	fuzzing := slices.ContainsFunc(os.Args, func(a string) bool {
		return strings.HasPrefix(a, "-test.fuzz") && !strings.HasPrefix(a, "-test.fuzzcache")
	})
	if os.Getenv(insideEnv) != "" || fuzzing {
		os.Exit(m.Run())
	}
	code := 0
	if os.Geteuid() == 0 {
		code = m.Run()
	}
	os.Exit(max(code, runInside()))
}

func runInside() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "no user namespace here:", err)
		if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
			return 1
		}
		return 0
	}
	if err := cmd.Wait(); err != nil {
		return 1
	}
	return 0
}

// singleID tells whether only one id can be set here.
func singleID() bool { return os.Getenv(insideEnv) != "" }
