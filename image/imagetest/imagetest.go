package imagetest

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// insideEnv is set in the child that runs inside; private.
const insideEnv = "MOSS_TEST_IMAGE_INSIDE"

// Inside tells whether this process was started by Run: only the own id can be set here.
func Inside() bool { return os.Getenv(insideEnv) != "" }

// Main runs tests as root or, for an ordinary account, as uid 0 of a user namespace of the own id alone. It returns the exit
// code; without user namespaces that is 0, or 1 under MOSS_TEST_MUST_RUN=1.
func Main(run func() int) int {
	if Inside() || os.Geteuid() == 0 {
		return run()
	}
	return Run()
}

// Run runs this test binary once more, as uid 0 of a user and mount namespace of the own id alone.
func Run() int {
	cmd := inside(os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
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

// Again runs one test of this binary inside, as Run does, and returns its output.
func Again(test string) ([]byte, error) {
	return inside("-test.run", "^"+test+"$", "-test.v").CombinedOutput()
}

func inside(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}}
	return cmd
}
