package slirptest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// stageEnv is private to this package: which of its processes this is.
const stageEnv = "_MOSS_SLIRPTEST_STAGE"

// IDsEnv chooses the ids of the test's user namespace when root runs it: "range" for 65,537 of them.
const IDsEnv = "MOSS_TEST_IDS"

// Main replaces m.Run in a TestMain and returns the exit code. stages are further processes of the test itself, by name;
// see Stage.
func Main(m *testing.M, stages map[string]func() error) int {
	name := os.Getenv(stageEnv)
	switch name {
	case "":
		return again("host", syscall.CLONE_NEWUSER|syscall.CLONE_NEWNET, os.Args[1:])
	case "host":
		return host()
	case "user":
		return m.Run()
	case "box":
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // the test has ended
		return 0
	}
	f := stages[name]
	if f == nil {
		fmt.Fprintf(os.Stderr, "slirptest: no stage %q\n", name)
		return 2
	}
	if err := f(); err != nil {
		fmt.Fprintf(os.Stderr, "slirptest: stage %q: %v\n", name, err)
		return 1
	}
	return 0
}

// Stage returns a command that runs one of Main's stages in a process of its own, in the namespaces of the caller.
func Stage(name string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = "slirptest-" + name
	cmd.Env = append(os.Environ(), stageEnv+"="+name)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{} // no Pdeathsig: threads of a test end (gateway.Within)
	return cmd
}

// again runs this program as another stage with new namespaces and returns its exit code.
func again(stage string, flags uintptr, args []string, files ...*os.File) int {
	runtime.LockOSThread() // Pdeathsig is the thread's
	cmd := Stage(stage)
	cmd.Args = append(cmd.Args, args...)
	cmd.Stdout, cmd.Stdin, cmd.ExtraFiles = os.Stdout, os.Stdin, files
	cmd.SysProcAttr.Cloneflags, cmd.SysProcAttr.Pdeathsig = flags, syscall.SIGKILL
	cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = maps(os.Getuid(), "uid_map"), maps(os.Getgid(), "gid_map")
	signal.Ignore(syscall.SIGINT)
	if err := cmd.Start(); err != nil {
		return missing("making namespaces: %v", err)
	}
	cmd.Wait() //nolint:errcheck // the state tells
	return cmd.ProcessState.ExitCode()
}

// maps gives a new namespace all ids that this one has, or the caller's own alone at the outermost stage.
func maps(own int, file string) []syscall.SysProcIDMap {
	single := []syscall.SysProcIDMap{{ContainerID: 0, HostID: own, Size: 1}}
	if os.Getenv(stageEnv) == "" {
		if os.Getuid() == 0 && os.Getenv(IDsEnv) == "range" {
			return []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: 2000000, Size: 65536}}
		}
		return single
	}
	text, err := os.ReadFile("/proc/self/" + file)
	if err != nil {
		return single
	}
	var l []syscall.SysProcIDMap // line by line: an extent must not cross the parent's (user_namespaces(7))
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		first, _ := strconv.Atoi(f[0])
		size, _ := strconv.Atoi(f[2])
		l = append(l, syscall.SysProcIDMap{ContainerID: first, HostID: first, Size: size})
	}
	return l
}

// missing reports an absent precondition as the process's exit code.
func missing(format string, args ...any) int {
	fmt.Fprintf(os.Stderr, "slirptest: "+format+"\n", args...)
	if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
		return 1
	}
	fmt.Println("PASS (skipped: a precondition is missing)")
	return 0
}
