package cgroup1

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/cgroup"
)

const groups = "9:name=systemd:/\n8:pids:/a\n4:memory:/job/1\n2:cpu,cpuacct:/\n0::/\n"

const mounts = "28 25 0:24 / /sys/fs/cgroup/pids rw shared:9 - cgroup cgroup rw,pids\n" +
	"30 25 0:26 /job /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n" +
	"31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n" +
	"32 25 0:28 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw\n"

func TestParse(t *testing.T) {
	want := map[string]string{"pids": "/sys/fs/cgroup/pids/a", "memory": "/sys/fs/cgroup/memory/1",
		"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct"}
	if got := parse(groups, mounts); !maps.Equal(got, want) {
		t.Fatal(got)
	}
	if got := parse("garbage\n", mounts); len(got) != 0 {
		t.Fatal(got)
	}
}

// group is a directory for each controller with files in it: "memory/memory.stat": content.
func group(t *testing.T, files map[string]string) Group {
	t.Helper()
	g := Group{map[string]string{}}
	root := t.TempDir()
	for path, content := range files {
		controller := filepath.Dir(path)
		g.Dirs[controller] = filepath.Join(root, controller)
		if err := errors.Join(os.MkdirAll(g.Dirs[controller], 0o755), os.WriteFile(filepath.Join(root, path), []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func TestUsage(t *testing.T) {
	g := group(t, map[string]string{
		"cpuacct/cpuacct.usage": "1500\n", "cpuacct/cpuacct.usage_user": "1000\n", "cpuacct/cpuacct.usage_sys": "500\n",
		"memory/memory.usage_in_bytes": "10000\n", "memory/memory.limit_in_bytes": "104857600\n",
		"memory/memory.stat":        "cache 4000\ninactive_file 1\ntotal_inactive_file 3000\n",
		"memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
		"pids/pids.current":         "3\n", "blkio/blkio.throttle.io_service_bytes": "8:0 Read 100\n8:0 Write 20\n8:0 Total 120\n8:16 Read 1\nTotal 121\n",
	})
	want := cgroup.Usage{Has: cgroup.Has{CPU: true, Memory: true, IO: true, Pids: true}, CPU: 1500, CPUUser: 1000, CPUSystem: 500, Memory: 7000,
		Raw: 10000, Inactive: 3000, Max: 100 << 20, OOMKills: 2, Read: 101, Write: 20, Pids: 3}
	if u, err := g.Usage(); err != nil || u != want {
		t.Fatalf("%+v, %v", u, err)
	}
	if _, err := (Group{map[string]string{"memory": t.TempDir() + "/gone"}}).Usage(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestUpdateWritesToEachController(t *testing.T) {
	g := group(t, map[string]string{"memory/memory.limit_in_bytes": "", "pids/pids.max": ""})
	err := g.Update([]limits.Value{{File: "memory.limit_in_bytes", Text: "100"}, {File: "pids.max", Text: "20"}})
	if err != nil || text(g.Dirs["memory"], "memory.limit_in_bytes") != "100" || text(g.Dirs["pids"], "pids.max") != "20" {
		t.Fatal(err)
	}
	if err := g.Update([]limits.Value{{File: "blkio.weight", Text: "10"}}); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestWithoutAFreezer(t *testing.T) {
	g := group(t, map[string]string{"pids/cgroup.procs": ""})
	if err := g.Freeze(context.Background()); !errors.Is(err, ErrNoFreezer) {
		t.Error(err)
	}
	if err := g.Kill(); err != nil {
		t.Error(err)
	}
}

func TestControllersMountedTogetherShareADirectory(t *testing.T) {
	g := Group{map[string]string{"cpu": "/x", "cpuacct": "/x", "pids": "/y"}}
	if got := g.unique(); !slices.Equal(got, []string{"/x", "/y"}) {
		t.Fatal(got)
	}
}
