package main

import (
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/tests/confine/sight"
)

func see(paths []string) sight.Sight {
	s := sight.Sight{
		Status: status(), UIDMap: fields("/proc/self/uid_map"), GIDMap: fields("/proc/self/gid_map"),
		SetGroups: fields("/proc/self/setgroups"), Namespaces: namespaces(), PIDs: pids(), Paths: map[string]sight.Path{},
		Mounts: mounts(), Devices: tree("/dev"), FDs: descriptors(), Sysctls: map[string]string{}, Limits: limits(),
		OOMScore: fields("/proc/self/oom_score_adj"), Env: os.Environ(), Cgroup: text("/proc/self/cgroup"),
		Keys: text("/proc/keys"), Abstract: abstract(), Parent: os.Getppid(),
	}
	s.Umask = syscall.Umask(0)
	syscall.Umask(s.Umask)
	s.Dir, _ = os.Getwd()
	s.Hostname, _ = os.Hostname()
	s.Groups, _ = os.Getgroups()
	s.Exe, _ = os.Readlink("/proc/self/exe")
	s.InitExe, _ = os.Readlink("/proc/1/exe")
	for _, p := range paths {
		s.Paths[p] = look(p, true)
	}
	for _, name := range []string{"net/ipv4/ip_unprivileged_port_start", "net/ipv4/ping_group_range", "kernel/hostname"} {
		s.Sysctls[name] = fields("/proc/sys/" + name)
	}
	if interfaces, err := net.Interfaces(); err == nil {
		for _, i := range interfaces {
			s.Interfaces = append(s.Interfaces, i.Name)
		}
	}
	return s
}

func text(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "error: " + word(err)
	}
	return string(b)
}

// fields is a file's content with single blanks.
func fields(path string) string { return strings.Join(strings.Fields(text(path)), " ") }

// status keeps the lines on rights and ids.
func status() map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text("/proc/self/status")) {
		key, value, ok := strings.Cut(line, ":")
		if ok && (strings.HasPrefix(key, "Cap") || strings.HasPrefix(key, "NS") || slices.Contains(statusLines, key)) {
			m[key] = strings.Join(strings.Fields(value), " ")
		}
	}
	return m
}

var statusLines = []string{"Uid", "Gid", "Groups", "Pid", "PPid", "TracerPid", "NoNewPrivs", "Seccomp", "Seccomp_filters"}

func namespaces() map[string]string {
	m := map[string]string{}
	entries, _ := os.ReadDir("/proc/self/ns")
	for _, e := range entries {
		link, err := os.Readlink("/proc/self/ns/" + e.Name())
		if err != nil {
			link = word(err)
		}
		m[e.Name()] = link
	}
	return m
}

func pids() (all []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	slices.Sort(all)
	return all
}

// look looks at one path; a link at the end is not followed.
func look(path string, write bool) sight.Path {
	info, err := os.Lstat(path)
	if err != nil {
		return sight.Path{Err: word(err)}
	}
	p := describe(info)
	switch {
	case info.IsDir():
		entries, err := os.ReadDir(path)
		if err != nil {
			p.Err = word(err)
		}
		for _, e := range entries {
			p.Entries = append(p.Entries, e.Name())
		}
	case info.Mode()&fs.ModeSymlink != 0:
		p.Link, _ = os.Readlink(path)
	case info.Mode().IsRegular():
		p.Size, p.Err = readable(path)
	}
	if write && !info.IsDir() {
		p.Write = openForWriting(path)
	}
	if write && info.IsDir() {
		p.Write = word(syscall.Faccessat(-100, path, 2, 0x200)) // W_OK, AT_EACCESS
	}
	return p
}

func describe(info fs.FileInfo) sight.Path {
	p := sight.Path{Mode: info.Mode().String()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		p.Perm, p.UID, p.GID = st.Mode&0o7777, int(st.Uid), int(st.Gid)
		p.Same = strconv.FormatUint(st.Dev, 10) + ":" + strconv.FormatUint(st.Ino, 10)
		if info.Mode()&fs.ModeDevice != 0 {
			p.Rdev = device(st.Rdev)
		}
	}
	return p
}

// device prints a device number as ls does (makedev(3)).
func device(rdev uint64) string {
	major := rdev>>8&0xfff | rdev>>32&^0xfff
	minor := rdev&0xff | rdev>>12&^0xff
	return strconv.FormatUint(major, 10) + ":" + strconv.FormatUint(minor, 10)
}

func readable(path string) (int64, string) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0, word(err)
	}
	defer f.Close()
	n, err := io.CopyN(io.Discard, f, 65536)
	if err != nil && err != io.EOF {
		return n, word(err)
	}
	return n, ""
}

func openForWriting(path string) string {
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err == nil {
		syscall.Close(fd)
	}
	return word(err)
}

func mounts() (all []sight.Mount) {
	for line := range strings.Lines(text("/proc/self/mountinfo")) {
		f := strings.Fields(line)
		dash := slices.Index(f, "-")
		if len(f) < 10 || dash < 0 || len(f) < dash+4 {
			continue
		}
		all = append(all, sight.Mount{
			Root: f[3], Target: f[4], Options: strings.Split(f[5], ","), Type: f[dash+1], Super: strings.Split(f[dash+3], ","),
		})
	}
	return all
}

func tree(root string) map[string]sight.Path {
	m := map[string]sight.Path{}
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			m[path] = sight.Path{Err: word(err)}
			return nil
		}
		if d.IsDir() || d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				m[path] = describe(info)
			}
			return nil
		}
		m[path] = look(path, false)
		return nil
	})
	return m
}

func descriptors() map[int]sight.Path {
	m := map[int]sight.Path{}
	for fd := range 1024 {
		var st syscall.Stat_t
		if syscall.Fstat(fd, &st) != nil {
			continue
		}
		link, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		own := strings.HasPrefix(link, "anon_inode:") || strings.HasPrefix(link, "/sys/fs/cgroup/") && strings.Contains(link, "/cpu.")
		if own && fd > 2 { // the Go runtime's: its poller, and the limits it reads for GOMAXPROCS
			continue
		}
		kind := map[uint32]string{
			syscall.S_IFIFO: "pipe", syscall.S_IFCHR: "device", syscall.S_IFDIR: "directory", syscall.S_IFREG: "file",
			syscall.S_IFSOCK: "socket", syscall.S_IFBLK: "block",
		}[st.Mode&syscall.S_IFMT]
		m[fd] = sight.Path{Mode: kind, Link: link, Rdev: device(st.Rdev), Same: strconv.FormatUint(st.Dev, 10) + ":" + strconv.FormatUint(st.Ino, 10), UID: int(st.Uid)}
	}
	return m
}

func limits() map[string][2]uint64 {
	names := []string{"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"}
	m := map[string][2]uint64{}
	// From the file: the Go runtime raises its own soft limit of open files at start.
	for line := range strings.Lines(text("/proc/self/limits")) {
		for i, title := range []string{"Max cpu time", "Max file size", "Max data size", "Max stack size", "Max core file size", "Max resident set", "Max processes", "Max open files", "Max locked memory", "Max address space"} {
			if rest, ok := strings.CutPrefix(line, title); ok {
				f := strings.Fields(rest)
				m[names[i]] = [2]uint64{number(f[0]), number(f[1])}
			}
		}
	}
	return m
}

func number(s string) uint64 {
	if s == "unlimited" {
		return ^uint64(0)
	}
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

func abstract() (names []string) {
	for line := range strings.Lines(text("/proc/net/unix")) {
		if f := strings.Fields(line); len(f) > 7 && strings.HasPrefix(f[7], "@") {
			names = append(names, f[7])
		}
	}
	return names
}

// writable lists the files below the roots, but those of processes, that open for writing.
func writable(roots ...string) []string {
	found := []string{}
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && ofProcess(path) {
				return fs.SkipDir
			}
			if d.Type().IsRegular() && !masked(path) && openForWriting(path) == "ok" {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}

// masked tells whether something that is no file lies over a file: a directory's list shows what is below.
func masked(path string) bool {
	info, err := os.Stat(path)
	return err != nil || !info.Mode().IsRegular()
}

func ofProcess(path string) bool {
	if filepath.Dir(path) != "/proc" {
		return false
	}
	_, err := strconv.Atoi(filepath.Base(path))
	return err == nil || filepath.Base(path) == "self" || filepath.Base(path) == "thread-self"
}
