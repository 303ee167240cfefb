package warden

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/delegate"
	"github.com/moss-sandbox/moss/limits/limitstest"
	"github.com/moss-sandbox/moss/limits/procs"
)

// TestNprocBoundsTheContainerAlone plays the part of the birth list: a user namespace between, the limit set in it, the
// container below. Processes of the same account outside must not count.
func TestNprocBoundsTheContainerAlone(t *testing.T) {
	w, err := New(delegate.Place{Rung: limits.RungNone}, Config{Limits: limits.Limits{Pids: 40}})
	if err != nil || w.Plan().Enforced["pids"] != limits.ByRlimit || w.Plan().Nproc != 40 {
		t.Fatalf("%+v, %v", w.Plan(), err)
	}
	first := limitstest.Start(t, "between 40 bomb 100", unprivileged)
	second := limitstest.Start(t, "between 40 bomb 100", unprivileged) // beside another that is full
	for _, c := range []*limitstest.Container{first, second} {
		limitstest.Await(t, "the bomb to be stopped", func() bool { return tasks(t, c) >= 35 })
		time.Sleep(200 * time.Millisecond)
		if n := tasks(t, c); n > 40 {
			t.Fatalf("%d tasks, limit 40", n)
		}
	}
}

// unprivileged maps another id than real root's, which the kernel exempts.
func unprivileged(c *exec.Cmd) {
	if os.Getuid() == 0 {
		c.SysProcAttr.UidMappings[0].HostID = 3_000_000_000
		c.SysProcAttr.GidMappings[0].HostID = 3_000_000_000
		c.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true} // become it
	}
}

// tasks counts threads, as the kernel does.
func tasks(t *testing.T, c *limitstest.Container) int {
	t.Helper()
	pids, err := procs.Host(c.Pid)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, pid := range pids {
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		n += len(threads)
	}
	return n
}
