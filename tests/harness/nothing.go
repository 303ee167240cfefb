package harness

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// leaveTime is how long what ends by itself may take.
const leaveTime = 10 * time.Second

// Nothing wants that, when the test is over, nothing of the login's moss is left: no process (zombies too), no mount, no
// socket, no container's directory, no file in the runtime directory, /tmp or /dev/shm. Images, volumes and the config stay:
// they are what the user keeps. It waits for what ends by itself: seconds, since a busy machine is slow to end it.
func Nothing(t testing.TB, l *Login) {
	t.Helper()
	t.Cleanup(func() { l.WantNothing() })
}

// WantNothing is Nothing at this moment.
func (l *Login) WantNothing() {
	l.t.Helper()
	var leaks []string
	for end := time.Now().Add(leaveTime); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if leaks = l.Leaks(); len(leaks) == 0 {
			return
		}
	}
	l.t.Errorf("left behind after %v:\n\t%s", leaveTime, tail(strings.Join(leaks, "\n\t"), 20))
}

// Leaks lists what is there now and was not when the login was made.
func (l *Login) Leaks() []string {
	var leaks []string
	for _, p := range l.processes() {
		leaks = append(leaks, p.String())
	}
	for _, list := range [][]string{l.mounts(), l.sockets(), l.files()} {
		for _, item := range list {
			if !l.before[item] {
				leaks = append(leaks, item)
			}
		}
	}
	sort.Strings(leaks)
	return leaks
}

// remember notes what is there before the login does anything.
func (l *Login) remember() {
	l.before = map[string]bool{}
	for _, p := range allProcesses() {
		l.before[p.identity()] = true
	}
	for _, list := range [][]string{l.mounts(), l.sockets(), l.files()} {
		for _, item := range list {
			l.before[item] = true
		}
	}
}

// Running returns the pids of the login's processes that call themselves name ("moss-keeper", "moss-holder",
// "moss-supervisor"), zombies left out.
func (l *Login) Running(name string) []int {
	var pids []int
	for _, p := range l.processes() {
		argv0, _, _ := strings.Cut(p.cmdline(), " ")
		if p.state != "Z" && argv0 == name {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// process is one line of /proc; start (in clock ticks since boot) tells two users of one pid apart.
type process struct {
	pid, ppid, uid int
	start          uint64
	state          string
	comm, exe      string
}

func (p process) identity() string { return fmt.Sprintf("process %d started %d", p.pid, p.start) }

func (p process) String() string {
	return fmt.Sprintf("process %d (parent %d, uid %d, state %s) %s exe %q args %q", p.pid, p.ppid, p.uid, p.state, p.comm, p.exe, p.cmdline())
}

// cmdline is the argument vector, joined by spaces.
func (p process) cmdline() string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
	return strings.TrimRight(strings.ReplaceAll(string(b), "\x00", " "), " ")
}

// processes are those of the login that did not run when it was made. A test account's are known by their owner, also inside
// containers (subordinate ids). Root's, and those of a tester who is an ordinary user, are known by their traces: others of
// the same owner are at work beside the tests, and what is listed here is killed when the test ends.
func (l *Login) processes() []process {
	var fresh []process
	for _, p := range allProcesses() {
		orphan := p.state == "Z" && p.ppid == 1 // ended; when pid 1 reaps it is this machine's matter
		if !l.before[p.identity()] && p.pid != os.Getpid() && !orphan {
			fresh = append(fresh, p)
		}
	}
	if l.UID != 0 && os.Getuid() == 0 {
		return ownedBy(l.Account, fresh)
	}
	return l.traced(fresh)
}

func ownedBy(a Account, fresh []process) []process {
	var owned []process
	for _, p := range fresh {
		if a.owns(p.uid) {
			owned = append(owned, p)
		}
	}
	return owned
}

// traced keeps those that have the login's directory in their program, environment, descriptors or mounts, and their children.
func (l *Login) traced(fresh []process) []process {
	var found []process
	mine := map[int]bool{}
	for grown := true; grown; { // until no child of a found one is left
		grown = false
		for _, p := range fresh {
			if !mine[p.pid] && (mine[p.ppid] || l.hasTrace(p)) {
				mine[p.pid], grown = true, true
				found = append(found, p)
			}
		}
	}
	return found
}

func (l *Login) hasTrace(p process) bool {
	dir := fmt.Sprintf("/proc/%d/", p.pid)
	// The keeper holds nothing open; its record names it.
	for _, record := range []string{l.Data() + "/run/keeper.json", l.Runtime + "/moss/keeper.json"} {
		if b, err := os.ReadFile(record); err == nil && strings.Contains(string(b), fmt.Sprintf(`"pid":%d,"start":%d,`, p.pid, p.start)) {
			return true
		}
	}
	for _, file := range []string{"environ", "mountinfo"} {
		if b, err := os.ReadFile(dir + file); err == nil && strings.Contains(string(b), l.dir+"/") {
			return true
		}
	}
	links, _ := filepath.Glob(dir + "fd/*")
	for _, link := range append(links, dir+"cwd") {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, l.dir+"/") {
			return true
		}
	}
	return false
}

func allProcesses() []process {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var all []process
	for _, dir := range dirs {
		if p, ok := readProcess(dir); ok {
			all = append(all, p)
		}
	}
	return all
}

// readProcess reads one process; false when it ended meanwhile.
func readProcess(dir string) (process, bool) {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return process{}, false
	}
	p := process{}
	p.pid, _ = strconv.Atoi(filepath.Base(dir))
	text := string(stat)
	open, shut := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[shut+1:])
	p.comm, p.state = text[open+1:shut], fields[0]
	p.ppid, _ = strconv.Atoi(fields[1])
	p.start, _ = strconv.ParseUint(fields[19], 10, 64)
	p.exe, _ = os.Readlink(dir + "/exe")
	p.uid = realUID(dir + "/status") // the directory's owner would be root where the process is not dumpable
	return p, true
}

func realUID(status string) int {
	f, err := os.Open(status)
	if err != nil {
		return -1
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "Uid:"); ok {
			uid, _ := strconv.Atoi(strings.Fields(rest)[0])
			return uid
		}
	}
	return -1
}

// mounts are the mounts of the tester's namespace; moss never mounts there.
func (l *Login) mounts() []string {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	var found []string
	for _, line := range strings.Split(string(b), "\n") {
		if fields := strings.Fields(line); len(fields) > 5 && strings.Contains(line, l.dir) {
			found = append(found, "mount "+fields[4])
		}
	}
	return found
}

// isTesters says whether the account is also that of the tests, of which others may run beside this one and use /tmp.
func (l *Login) isTesters() bool { return l.UID == os.Getuid() }

// sockets are unix sockets with a name of the login's, and any abstract one that says moss.
func (l *Login) sockets() []string {
	b, _ := os.ReadFile("/proc/net/unix")
	var found []string
	for _, line := range strings.Split(string(b), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		name := fields[7]
		others := l.isTesters() || !strings.HasPrefix(name, "@moss") && !strings.Contains(name, fmt.Sprintf("/moss-%d", l.UID))
		if strings.Contains(name, l.dir) || !others {
			found = append(found, "socket "+name)
		}
	}
	return found
}

// files are what must not outlive the containers. Empty directories may.
func (l *Login) files() []string {
	var found []string
	for _, dir := range []string{l.Runtime, l.Data()} {
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || path == dir || l.keeps(path) {
				return nil
			}
			// Locks are never removed; the keeper, a list of calls, leaves its record; what was probed holds for this boot.
			if base := filepath.Base(path); strings.HasSuffix(base, ".lock") || base == "users" || base == "keeper.json" || base == "storage.json" {
				return nil
			}
			if filepath.Base(filepath.Dir(path)) == "names" && d.Type()&fs.ModeSymlink == 0 {
				return nil // an image's name; a container's is a link
			}
			if d.IsDir() && filepath.Base(filepath.Dir(path)) == "containers" {
				found = append(found, "container "+path)
				return fs.SkipDir
			}
			if !d.IsDir() {
				found = append(found, "file "+path)
			}
			return nil
		})
	}
	if l.isTesters() {
		return found
	}
	for _, dir := range []string{"/tmp", "/dev/shm"} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if path != l.dir && path != l.usualRuntime() && l.ownsFile(e) && strings.HasPrefix(e.Name(), "moss") {
				found = append(found, "file "+path)
			}
		}
	}
	return found
}

// usualRuntime is the runtime directory of an account without XDG_RUNTIME_DIR: it stays, with its locks, as long as /tmp.
func (l *Login) usualRuntime() string { return "/tmp/moss-" + strconv.Itoa(l.UID) }

// keeps says whether the file is one that stays by design: images, volumes, networks, the event log, locks of the store, the
// build cache and cache mounts.
func (l *Login) keeps(path string) bool {
	rel, err := filepath.Rel(l.Data(), path)
	if err != nil {
		return false
	}
	top, _, _ := strings.Cut(rel, "/")
	switch top {
	case "blobs", "layers", "images", "about", "lock", "locks", "volumes", "networks", "events", "machine", "buildcache", "caches":
		return true
	}
	return false
}

func (l *Login) ownsFile(e os.DirEntry) bool {
	info, err := e.Info()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && l.owns(int(stat.Uid))
}
