package supervisor

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// TestEndBeforeTheWait: a process that ends between the opening of its descriptor and the wait for it is not waited for
// for ever (seen once in some hundred runs of `true`).
func TestEndBeforeTheWait(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := sys.PidfdOpen(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	f, err := sys.PidfdFile(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := sys.Poll([]sys.PollFd{{Fd: int32(fd), Events: sys.PollIn}}, 5000); err != nil { // it has ended: the edge is over
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // and the poller has told it
	done := make(chan error, 1)
	go func() { done <- sys.AwaitReadable(f) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("waits for an end that was before")
	}
	_ = cmd.Wait()
}
