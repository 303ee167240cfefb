package host

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/cgroup"
	"github.com/moss-sandbox/moss/limits/delegate"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Facts returns what can be enforced from a place that was entered. Userns and Filter are true; the caller clears them for a
// container without a user namespace or a filter of moss's own. Devices are those the limits name; a device that is not
// there is an error (fs.ErrNotExist).
func Facts(place delegate.Place, l limits.Limits) (limits.Facts, error) {
	f := machine()
	f.Rung = place.Rung
	switch place.Rung {
	case limits.RungScope, limits.RungOwn:
		f.Controllers = place.Tree.Controllers
		files(&f, place.Tree.Dir)
	case limits.RungV1:
		f.Controllers = place.V1.Controllers()
		files1(&f, place.V1.Dirs)
	}
	var err error
	f.Devices, err = Devices(l.Paths())
	return f, err
}

// Expect returns the facts as they would be after delegate.Enter, for commands that enter nothing: validation, moss info.
func Expect() limits.Facts {
	f := machine()
	dir, rung := expected()
	f.Rung = rung
	if rung != limits.RungNone {
		f.Controllers = readWords(filepath.Join(dir, "cgroup.controllers"))
		files(&f, dir)
	}
	return f
}

// expected finds the directory whose controllers a place would have. A scope has what the user's manager has.
func expected() (string, limits.Rung) {
	if dir, ok := managerDir(); ok {
		return dir, limits.RungScope
	}
	if own, err := cgroup.Own(); err == nil && delegate.Writable(own) == nil {
		return own, limits.RungOwn
	}
	return "", limits.RungNone
}

// files looks for files that depend on the kernel's configuration (CONFIG_SWAP, CONFIG_BFQ_GROUP_IOSCHED).
func files(f *limits.Facts, dir string) {
	f.SwapFile = f.Has("memory") && exists(dir, "memory.swap.max")
	for _, name := range []string{"io.bfq.weight", "io.weight"} {
		if f.Has("io") && exists(dir, name) && f.IOWeight == "" {
			f.IOWeight = name
		}
	}
}

// files1 is files for version 1, whose memory file exists only when swap is accounted for (swapaccount=1).
func files1(f *limits.Facts, dirs map[string]string) {
	f.SwapFile = exists(dirs["memory"], "memory.memsw.limit_in_bytes")
	for _, name := range []string{"blkio.bfq.weight", "blkio.weight"} {
		if exists(dirs["blkio"], name) && f.IOWeight == "" {
			f.IOWeight = name
		}
	}
}

// machine reads what does not depend on cgroups.
func machine() limits.Facts {
	f := limits.Facts{Userns: true, Filter: true, Autogroup: readText("/proc/sys/kernel/sched_autogroup_enabled") == "1"}
	f.CPUs, _ = sys.Affinity(0)
	f.Nodes = nodes()
	f.Memory, f.Swap = parseMeminfo(readText("/proc/meminfo"))
	f.Rlimits = map[string]uint64{}
	for name, most := range rlimits() {
		f.Rlimits[name] = most
	}
	return f
}

// nodes reads the memory nodes; a kernel without NUMA has none to show and is one.
func nodes() []int {
	set, err := limits.ParseSet(readText("/sys/devices/system/node/online"))
	if err != nil || len(set) == 0 {
		return []int{0}
	}
	return set
}

// parseMeminfo returns MemTotal and SwapTotal in bytes.
func parseMeminfo(text string) (memory, swap int64) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch key {
		case "MemTotal":
			memory = n << 10
		case "SwapTotal":
			swap = n << 10
		}
	}
	return memory, swap
}

// rlimits reads this process's hard limits. Real root may raise them, so it has none.
func rlimits() map[string]uint64 {
	most := map[string]uint64{}
	for name, number := range limits.RlimitNumbers() {
		r, err := sys.Prlimit(0, number, nil)
		if err == nil && r.Max != math.MaxUint64 && os.Getuid() != 0 {
			most[name] = r.Max
		}
	}
	return most
}

// Devices returns MAJOR:MINOR of block devices.
func Devices(paths []string) (map[string]string, error) {
	numbers := map[string]string{}
	for _, path := range paths {
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil {
			return nil, &os.PathError{Op: "stat", Path: path, Err: err}
		}
		if st.Mode&syscall.S_IFMT != syscall.S_IFBLK {
			return nil, fmt.Errorf("%q is no block device", path)
		}
		major, minor := sys.Device(st.Rdev)
		numbers[path] = fmt.Sprintf("%d:%d", major, minor)
	}
	return numbers, nil
}

func exists(dir, file string) bool {
	_, err := os.Stat(filepath.Join(dir, file))
	return err == nil
}

func readText(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}

func readWords(path string) []string { return strings.Fields(readText(path)) }
