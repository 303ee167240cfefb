package cgroup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/limits"
)

// The kernel's side of this package is tested where there is a delegated tree, in limits/delegate; here are captured files.

// tree writes files below a directory: "path: content".
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, content := range files {
		path = filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUsage(t *testing.T) {
	g := Group{tree(t, map[string]string{
		"c/cpu.stat":       "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n",
		"c/memory.current": "10000\n",
		"c/memory.max":     "104857600\n",
		"c/memory.stat":    "anon 6000\nfile 4000\ninactive_file 3000\nactive_file 1000\n",
		"c/memory.events":  "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n",
		"c/io.stat":        "8:0 rbytes=100 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n7:0 \n",
		"c/pids.current":   "3\n",
	})}
	want := Usage{Has: Has{true, true, true, true}, CPU: 1500e3, CPUUser: 1000e3, CPUSystem: 500e3, Memory: 7000, Raw: 10000, Inactive: 3000,
		Max: 100 << 20, OOMKills: 1, Read: 101, Write: 22, Pids: 3}
	if u, err := g.Usage(); err != nil || u != want {
		t.Fatalf("%+v, %v", u, err)
	}
}

func TestUsageWithoutControllers(t *testing.T) {
	g := Group{tree(t, map[string]string{"c/cpu.stat": "usage_usec 1\n", "c/memory.max": "max\n"})}
	if u, err := g.Usage(); err != nil || u != (Usage{Has: Has{CPU: true}, CPU: 1000}) {
		t.Fatalf("%+v, %v", u, err)
	}
	if _, err := (Group{t.TempDir()}).Usage(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestApplyWritesBothDirectories(t *testing.T) {
	dir := tree(t, map[string]string{"memory.max": "max", "pids.max": "max", "c/memory.max": "max", "c/pids.max": "max"})
	if err := (Group{dir}).Apply([]limits.Value{{File: "memory.max", Text: "100"}, {File: "pids.max", Text: "20"}}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"memory.max": "100", "c/memory.max": "100", "pids.max": "20x", "c/pids.max": "20x"} {
		if got, _ := os.ReadFile(filepath.Join(dir, path)); string(got) != want { // a kernel file has no rest of the old value
			t.Errorf("%s: %q", path, got)
		}
	}
	err := (Group{dir}).Apply([]limits.Value{{File: "io.max", Text: "x"}})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "io.max") {
		t.Error(err)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	g := Group{tree(t, map[string]string{"cgroup.events": "populated 1\nfrozen 0\n"})}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := g.Remove(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestRemoveOfAGoneGroup(t *testing.T) {
	if err := (Group{filepath.Join(t.TempDir(), "gone")}).Remove(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestMountPoint(t *testing.T) {
	const hybrid = "30 25 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n31 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	for text, want := range map[string]string{
		"": "", hybrid: "/sys/fs/cgroup/unified", "31 25 0:27 / /sys/fs/cgroup rw,nosuid shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n": "/sys/fs/cgroup",
		`31 25 0:27 / /a\040b rw - cgroup2 cgroup2 rw` + "\n": "", "short - cgroup2 x y\n": "",
	} {
		if got, ok := MountPoint(text); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
}

func TestUnified(t *testing.T) {
	for text, want := range map[string]string{
		"0::/\n": "/", "9:name=systemd:/\n1:cpu:/a\n0::/user.slice/x.scope\n": "/user.slice/x.scope", "0::/gone (deleted)\n": "/gone",
	} {
		if got, ok := unified(text); !ok || got != want {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
	if _, ok := unified("4:memory:/x\n"); ok {
		t.Error("found a line that is not there")
	}
}

func TestProcsSkipsForeignNamespaces(t *testing.T) {
	g := Group{tree(t, map[string]string{"c/cgroup.procs": "12\n0\n13\n", "c/child/cgroup.procs": "14\n"})}
	if pids, err := g.Procs(); err != nil || !slices.Equal(pids, []int{12, 13, 14}) {
		t.Fatal(pids, err)
	}
}
