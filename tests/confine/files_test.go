package confine

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/tests/confine/sight"
	"github.com/moss-sandbox/moss/tests/harness"
)

// The lists of moby's daemon/pkg/oci/defaults.go and of runc's table for mounts, read 2026-08-23.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
		"/sys/devices/virtual/powercap",
	}
	readOnlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
	switches      = []string{
		"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/net/ipv4/ip_forward",
		"/proc/sys/fs/binfmt_misc/register", "/proc/sys/vm/overcommit_memory", "/sys/kernel/uevent_helper",
		"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/release_agent", "/sys/power/state",
	}
	nodes = map[string]string{
		"/dev/null": "1:3", "/dev/zero": "1:5", "/dev/full": "1:7", "/dev/random": "1:8", "/dev/urandom": "1:9",
		"/dev/tty": "5:0", "/dev/pts/ptmx": "5:2",
	}
	links = map[string]string{
		"/dev/ptmx": "pts/ptmx", "/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0",
		"/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
	}
	files = []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
)

func throttlePaths() (all []string) {
	for n := range 64 {
		all = append(all, fmt.Sprintf("/sys/devices/system/cpu/cpu%d/thermal_throttle", n))
	}
	return all
}

func watchedPaths() []string {
	return slices.Concat(maskedPaths, readOnlyPaths, switches, throttlePaths(), files, []string{"/", "/proc", "/dev/shm", "/dev/core"})
}

// hidden tells whether nothing of a path can be read: it is absent, the null device, or an empty directory nobody can write.
func hidden(p sight.Path) bool {
	switch {
	case p.Err == "ENOENT":
		return true
	case p.Mode == "":
		return false
	case p.Mode[0] == 'd':
		return len(p.Entries) == 0 && p.Write == "EROFS"
	}
	return p.Rdev == "1:3"
}

func masked(_ *viewer, s sight.Sight) string {
	for _, path := range maskedPaths {
		if p := s.Paths[path]; !hidden(p) {
			return fmt.Sprintf("%s is open: %+v", path, p)
		}
	}
	return ""
}

func throttle(_ *viewer, s sight.Sight) string {
	for _, path := range throttlePaths() {
		if p := s.Paths[path]; !hidden(p) {
			return fmt.Sprintf("%s is open: %+v", path, p)
		}
	}
	return ""
}

// readOnly wants the paths to be mounted read-only, which no capability overcomes, and the switches below not to open.
func readOnly(_ *viewer, s sight.Sight) string {
	for _, path := range readOnlyPaths {
		m, _ := top(s, path)
		if s.Paths[path].Err != "ENOENT" && !slices.Contains(m.Options, "ro") {
			return fmt.Sprintf("%s is mounted with %v", path, m.Options)
		}
	}
	for _, path := range switches {
		if s.Paths[path].Write == "ok" {
			return path + " opens for writing"
		}
	}
	return ""
}

// top finds what is mounted last on a target.
func top(s sight.Sight, target string) (m sight.Mount, ok bool) {
	for _, candidate := range s.Mounts {
		if candidate.Target == target {
			m, ok = candidate, true
		}
	}
	return m, ok
}

func mounted(target, fstype string, options ...string) check {
	return func(_ *viewer, s sight.Sight) string {
		m, ok := top(s, target)
		if !ok || m.Type != fstype {
			return fmt.Sprintf("on %s is %+v", target, m)
		}
		for _, o := range options {
			if !slices.Contains(m.Options, o) {
				return fmt.Sprintf("%s is not %s: %v", target, o, m.Options)
			}
		}
		return ""
	}
}

// cgroupMount: where the kernel gives no cgroup2 to mount, nothing is shown.
func cgroupMount(v *viewer, s sight.Sight) string {
	if p := s.Paths["/sys/fs/cgroup"]; p.Err == "ENOENT" || p.Mode != "" && len(p.Entries) == 0 {
		return ""
	}
	return mounted("/sys/fs/cgroup", "cgroup2", "nosuid", "nodev", "noexec", "ro")(v, s)
}

func shm(_ *viewer, s sight.Sight) string {
	m, _ := top(s, "/dev/shm")
	if !slices.Contains(m.Super, "size=65536k") || s.Paths["/dev/shm"].Perm != 0o1777 {
		return fmt.Sprintf("%v, mode %o", m.Super, s.Paths["/dev/shm"].Perm)
	}
	return ""
}

func devpts(v *viewer, s sight.Sight) string {
	m, _ := top(s, "/dev/pts")
	want := []string{"ptmxmode=666", "mode=620"}
	if v.s.Ids != harness.OneID {
		want = append(want, "gid=")
	}
	for _, o := range want {
		if !strings.Contains(strings.Join(m.Super, ","), o) {
			return fmt.Sprintf("devpts lacks %s: %v", o, m.Super)
		}
	}
	return mounted("/dev/pts", "devpts", "nosuid", "noexec")(v, s)
}

func rootMount(_ *viewer, s sight.Sight) string {
	m, _ := top(s, "/")
	if !slices.Contains(m.Options, "rw") || slices.Contains(m.Options, "nosuid") || !slices.Contains(m.Options, "nodev") {
		return fmt.Sprintf("%s root with %v", m.Type, m.Options)
	}
	return differs("writing in /", s.Paths["/"].Write, "ok")
}

func noOtherMounts(_ *viewer, s sight.Sight) string {
	known := slices.Concat(maskedPaths, readOnlyPaths, throttlePaths(), files, []string{
		"/", "/proc", "/sys", "/sys/fs/cgroup", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/console",
		"/dev/moss-apt.conf",
	})
	for _, m := range s.Mounts {
		if _, node := nodes[m.Target]; !node && !slices.Contains(known, m.Target) {
			return fmt.Sprintf("%s on %s from %s", m.Type, m.Target, m.Root)
		}
	}
	return ""
}

func devices(_ *viewer, s sight.Sight) string {
	for path, rdev := range nodes {
		if p := s.Devices[path]; p.Rdev != rdev || p.Perm&0o666 != 0o666 {
			return fmt.Sprintf("%s is %s %s", path, p.Mode, p.Rdev)
		}
	}
	if p := s.Devices["/dev"]; p.Perm != 0o755 {
		return fmt.Sprintf("/dev has mode %o", p.Perm)
	}
	return ""
}

func noOtherDevices(_ *viewer, s sight.Sight) string {
	for path, p := range s.Devices {
		_, node := nodes[path]
		_, link := links[path]
		directory := slices.Contains([]string{"/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"}, path)
		if !node && !link && !directory && path != "/dev/moss-apt.conf" {
			return fmt.Sprintf("%s is %s %s %s", path, p.Mode, p.Rdev, p.Link)
		}
	}
	if s.Paths["/dev/core"].Err != "ENOENT" {
		return "there is a /dev/core"
	}
	return ""
}

func deviceLinks(_ *viewer, s sight.Sight) string {
	for path, to := range links {
		if got := s.Devices[path].Link; got != to {
			return fmt.Sprintf("%s leads to %q", path, got)
		}
	}
	return ""
}

// ownFiles wants files that are mounted from the container's directory and writable.
func ownFiles(_ *viewer, s sight.Sight) string {
	for _, path := range files {
		m, ok := top(s, path)
		if !ok || !strings.Contains(filepath.ToSlash(m.Root), "/containers/") || s.Paths[path].Write != "ok" {
			return fmt.Sprintf("%s is mounted from %q, opens for writing with %q", path, m.Root, s.Paths[path].Write)
		}
	}
	return ""
}

// hostOwner wants no mapping of the machine's uid 0. The map inside is in terms of the user's namespace, so look at who
// owns the process's /proc from the machine's side: here, that a map of 4294967295 ids from 0 is nobody's container.
func hostOwner(s sight.Sight) string {
	for _, m := range []string{s.UIDMap, s.GIDMap} {
		f := strings.Fields(m)
		for i := 2; i < len(f); i += 3 {
			if len(f[i]) > 7 {
				return "map " + m
			}
		}
	}
	return ""
}
