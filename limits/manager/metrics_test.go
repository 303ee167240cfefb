package manager

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moss-sandbox/moss/limits/cgroup"
)

// captured is a container's group with the files of Linux 6.1 as Debian 12 shows them, shortened.
func captured(t *testing.T) cgroup.Group {
	t.Helper()
	g := cgroup.Group{Dir: t.TempDir()}
	for name, text := range map[string]string{
		"cgroup.controllers": "cpu memory pids\n",
		"cpu.stat":           "usage_usec 10\nuser_usec 6\nsystem_usec 4\nnr_periods 5\nnr_throttled 2\nthrottled_usec 7\n",
		"memory.current":     "10000\n", "memory.max": "max\n", "memory.peak": "20000\n",
		"memory.stat": "anon 6000\ninactive_file 3000\npgfault 12\n",
		"io.stat":     "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n",
		"pids.max":    "max\n", "pids.current": "3\n",
	} {
		path := filepath.Join(g.Container(), name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func TestRead(t *testing.T) {
	d, err := Read(captured(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]uint64{"anon": 6000, "inactive_file": 3000, "pgfault": 12}; !maps.Equal(d.Memory, want) {
		t.Errorf("memory %v", d.Memory)
	}
	if d.Peak != 20000 || d.PidsLimit != 0 || d.Throttled != (Throttled{5, 2, 7000}) {
		t.Errorf("%+v", d)
	}
	if want := []Device{{8, 16, 1, 2, 3, 4}}; !slices.Equal(d.Devices, want) {
		t.Errorf("devices %v", d.Devices)
	}
}

func TestReadOfNoGroup(t *testing.T) {
	if _, err := Read(cgroup.Group{Dir: t.TempDir()}); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
