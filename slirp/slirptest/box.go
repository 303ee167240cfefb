package slirptest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Box stands for a container: a process in its own user and network namespace.
type Box struct {
	ID    string
	PID   int
	NetNS int
	Pidfd int
}

// NewBox makes a box, which ends with the test.
func NewBox(t testing.TB) *Box {
	t.Helper()
	cmd := Stage("box")
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET
	cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = maps(0, "uid_map"), maps(0, "gid_map")
	life, err := cmd.StdinPipe() // its end, also by our death, is the box's
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("making a box: %v", err)
	}
	b := &Box{ID: id(), PID: cmd.Process.Pid}
	t.Cleanup(func() {
		life.Close()
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // killed
		syscall.Close(b.NetNS)
		syscall.Close(b.Pidfd)
	})
	if b.NetNS, err = syscall.Open(fmt.Sprintf("/proc/%d/ns/net", b.PID), syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	if b.Pidfd, err = sys.PidfdOpen(b.PID); err != nil {
		t.Fatal(err)
	}
	return b
}

func id() string {
	var b [32]byte
	rand.Read(b[:]) //nolint:errcheck // crypto/rand never fails (Go 1.24)
	return hex.EncodeToString(b[:])
}

// Do runs f in a thread of the box's network namespace. Sockets opened by f stay the box's.
func (b *Box) Do(t testing.TB, f func() error) {
	t.Helper()
	if err := gateway.Within(b.NetNS, f); err != nil {
		t.Error(err)
	}
}

// Kill ends the box's process.
func (b *Box) Kill() { syscall.Kill(b.PID, syscall.SIGKILL) } //nolint:errcheck // it may have ended

// Require skips the test, or fails it where the tests must run.
func Require(t testing.TB, ok bool, format string, args ...any) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("MOSS_TEST_MUST_RUN") == "1":
		t.Fatalf("precondition missing: "+format, args...)
	default:
		t.Skipf("precondition missing: "+format, args...)
	}
}
