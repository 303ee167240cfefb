package spawn_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// resting starts a list that says when it is ready, and rests until the test is over.
func (i interpreter) resting(t *testing.T, l *spawn.List, o spawn.Options) int {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for len(o.Files) <= report {
		o.Files = append(o.Files, -1)
	}
	o.Files[report], o.Report, o.Name, o.TmpDir = int(w.Fd()), report, "moss-test", t.TempDir()
	pid, err := i.start(l, o)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = spawn.Wait(pid)
	})
	var record [16]byte
	if _, err := io.ReadFull(r, record[:]); err != nil || record[8] != spawn.Told {
		t.Fatalf("reading that it is ready: %v, %v", record, err)
	}
	return pid
}

func proc(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// line is the rest of the line that begins with key.
func line(t *testing.T, text, key string) string {
	t.Helper()
	for l := range strings.SplitSeq(text, "\n") {
		if rest, ok := strings.CutPrefix(l, key); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no %q in\n%s", key, text)
	return ""
}

// The list's process is what execve(2) would have made: one thread, no handlers, nothing blocked, our child.
func TestProcessIsClean(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		i.native(t, "is a process of its own kind")
		l := spawn.New()
		tell(l, 1)
		l.Rest("resting")
		pid := i.resting(t, l, spawn.Options{Setsid: true})
		status := proc(t, pid, "status")
		zero := strings.Repeat("0", 16)
		for key, want := range map[string]string{
			"PPid:": fmt.Sprint(os.Getpid()), "Threads:": "1", "SigBlk:": zero, "SigCgt:": zero, "SigPnd:": zero,
		} {
			if got := line(t, status, key); got != want {
				t.Errorf("%s %s, want %s", key, got, want)
			}
		}
		stat := strings.Fields(proc(t, pid, "stat"))
		if sid := stat[5]; sid != fmt.Sprint(pid) {
			t.Errorf("session %s, want %d", sid, pid)
		}
		if got := proc(t, pid, "cmdline"); got != "moss-test\x00" {
			t.Errorf("command line %q", got)
		}
		want, err := exec.Command("cat", "/proc/self/limits").Output()
		if err == nil && line(t, proc(t, pid, "limits"), "Max open files") != line(t, string(want), "Max open files") {
			t.Error("the limit of open files is not ours")
		}
	})
}

// Descriptors come by number: those left out are closed, whatever the numbers here are.
func TestDescriptorsAreNumbered(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		i.native(t, "has descriptors of its own")
		var out []*os.File
		files := []int{-1, -1, -1, -1, -1}
		for n := range 8 { // numbers here: 95 and more, falling, around those the program's own descriptor may get
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			high, err := sys.DupAbove(int(w.Fd()), 95+3*(8-n))
			if err != nil {
				t.Fatal(err)
			}
			defer syscall.Close(high)
			out = append(out, r)
			files = append(files, high)
		}
		l := spawn.New()
		for n := range out {
			l.Call("writing", syscall.SYS_WRITE, uintptr(5+n), l.Str(string(rune('a'+n))), 1)
		}
		tell(l, 1)
		l.Rest("resting")
		pid := i.resting(t, l, spawn.Options{Files: files})
		for n, r := range out {
			var b [1]byte
			if _, err := r.Read(b[:]); err != nil || b[0] != byte('a'+n) {
				t.Errorf("descriptor %d: %q, %v", 5+n, b, err)
			}
		}
		for n, f := range files {
			_, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, n))
			if open := err == nil; open != (f >= 0 || n == report) {
				t.Errorf("descriptor %d is open: %t", n, open)
			}
		}
	})
}

// What lives long is small, and no signal that does not kill it wakes it for good.
func TestRestingListIsSmall(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		i.native(t, "is not small")
		l := spawn.New()
		for range 1000 {
			l.Call("filling", syscall.SYS_GETPID)
		}
		l.Bytes(make([]byte, 200<<10))
		kept := l.Words(7, spawn.Told)
		l.Shrink(kept, 3)
		l.Call("telling what was kept", syscall.SYS_WRITE, report, uintptr(kept), 16)
		l.Rest("resting")
		pid := i.resting(t, l, spawn.Options{})
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		_ = syscall.Kill(pid, syscall.SIGCONT)
		var private, resident int
		rollup := proc(t, pid, "smaps_rollup")
		_, _ = fmt.Sscan(line(t, rollup, "Anonymous:"), &private)
		_, _ = fmt.Sscan(line(t, rollup, "Rss:"), &resident)
		if private == 0 || private > i.private {
			t.Errorf("%d kB private, %d resident, want at most %d", private, resident, i.private)
		}
		if err := syscall.Kill(pid, 0); err != nil || strings.Contains(line(t, proc(t, pid, "status"), "State:"), "Z") {
			t.Errorf("it has ended: %v", err)
		}
	})
}

// requireUserNamespaces skips where an ordinary process may not make one.
func requireUserNamespaces(t *testing.T) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"exits with 7"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	if err := cmd.Run(); cmd.ProcessState == nil {
		if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
			t.Fatalf("no user namespaces: %v", err)
		}
		t.Skipf("no user namespaces: %v", err)
	}
}

// A list makes a user namespace, which a Go program cannot, and another one joins it there and clones inside.
func TestListsMakeAndJoinUserNamespaces(t *testing.T) {
	each(t, func(t *testing.T, i interpreter) {
		i.native(t, "has threads, which setns(2) refuses")
		requireUserNamespaces(t)
		l := spawn.New()
		l.Call("making a user namespace", syscall.SYS_UNSHARE, sys.NewUser|sys.NewNS)
		l.Call("staying readable", syscall.SYS_PRCTL, 4, 1, 0, 0, 0)
		tell(l, 1)
		l.Rest("resting")
		keeper := i.resting(t, l, spawn.Options{})
		mapOwnID(t, keeper)
		fd, err := sys.PidfdOpen(keeper)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		j := spawn.New()
		j.Call("becoming unreadable", syscall.SYS_PRCTL, 4, 0, 0, 0, 0)
		j.Call("joining", sys.SYS_SETNS, 4, sys.NewUser|sys.NewNS)
		j.Call("becoming root", syscall.SYS_SETRESUID, 0, 0, 0)
		clone(j, sys.NewNS|sys.NewPID, syscall.SIGCHLD, func() {
			word := j.Words(0, spawn.Told)
			j.Save(j.Call("getpid", syscall.SYS_GETPID), word)
			j.Call("telling the pid inside", syscall.SYS_WRITE, report, uintptr(word), 16)
			j.Call("mounting", syscall.SYS_MOUNT, j.Str("tmpfs"), j.Str("/proc"), j.Str("tmpfs"), 0, 0)
			exit(j, 0)
		})
		tellStatus(j)
		exit(j, 0)
		i.run(t, j, fd).want(t, 0, 1, 0)
	})
}

func mapOwnID(t *testing.T, pid int) {
	t.Helper()
	for _, f := range [][2]string{
		{"setgroups", "deny"}, {"uid_map", fmt.Sprintf("0 %d 1\n", os.Geteuid())}, {"gid_map", fmt.Sprintf("0 %d 1\n", os.Getegid())},
	} {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, f[0]), []byte(f[1]), 0); err != nil {
			t.Fatal(err)
		}
	}
}
