package guest

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

var update = flag.Bool("update", false, "write the golden sequences of calls anew")

// plainSpec is what `moss run IMAGE true` comes to.
func plainSpec() *spec.Spec {
	return &spec.Spec{
		Root:    spec.Root{Kind: spec.Overlay, Trees: []spec.Tree{{Target: "/", Lower: []string{"/host/layers/b", "/host/layers/a"}, Upper: "upper", Work: "work"}}},
		Process: spec.Process{Args: []string{"true"}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/", Caps: 0xa80425fb},
		Host:    spec.Host{Hostname: "box", Network: "bridge", ShmSize: 64 << 20},
	}
}

// fullSpec uses what needs more: mounts of all kinds, below and beside /dev, a user, a terminal, a device.
func fullSpec() *spec.Spec {
	s := plainSpec()
	s.Root.Trees = append(s.Root.Trees, spec.Tree{Target: "/usr", Lower: []string{"/usr"}, Upper: "upper.usr", Work: "work.usr"})
	s.Mounts = []spec.Mount{
		{Type: spec.Bind, Source: "/home/u/src", Target: "/work/deep/src", ReadOnly: true},
		{Type: spec.Bind, Source: "/home/u/file", Target: "/etc/file", File: true},
		{Type: spec.Volume, Name: "v", Source: "/host/volumes/v", Target: "/var/lib/v"},
		{Type: spec.Tmpfs, Target: "/run", Options: []string{"size=1m", "exec"}},
		{Type: spec.Bind, Source: "/home/u/dev", Target: "/dev/mine"},
		{Type: spec.Bind, Within: "/host/cache", Source: "/foreign/name", Target: "/cache"},
	}
	s.Process.Dir = "/work/deep"
	s.Process.TTY = true
	s.Process.User = spec.User{UID: 33, GID: 33, Groups: []int{33, 50}}
	s.Process.Rlimits = []spec.Rlimit{{Resource: 7, Name: "nofile", Soft: 64, Hard: 128}}
	s.Process.OOMScore = 100
	s.Host.Devices = []spec.Device{{Source: "/dev/fuse", Target: "/dev/fuse", Perm: "rwm"}}
	s.Host.Sysctls = map[string]string{"net.core.somaxconn": "128"}
	return s
}

func birthOf(s *spec.Spec) *Birth {
	return &Birth{
		Spec: s, Dir: "/host/containers/c", Mnt: "/host/containers/c/mnt", UIDMap: "0 0 1\n", GIDMap: "0 0 1\n", SetGroups: true,
		Filter: make([]byte, 16), HostFiles: []HostFile{{"hosts", "/etc/hosts"}, {"resolv.conf", "/etc/resolv.conf"}},
		LastGID: 65535, CPUs: 1, Present: func(string) bool { return true },
	}
}

func execOf(s *spec.Spec) *Exec {
	return &Exec{Process: s.Process, Namespaces: sys.NewUser | sys.NewNS | sys.NewPID, SetGroups: true, Filter: make([]byte, 16)}
}

// births are the lists that all rules are checked on.
func births() map[string]*Birth {
	real := birthOf(fullSpec())
	real.RealRoot, real.Cgroup, real.Wait = true, true, true
	host := birthOf(plainSpec())
	host.Spec.Host.Network, host.Spec.Host.PID = "host", spec.FromHost
	counted := birthOf(plainSpec())
	counted.Nproc, counted.BetweenUIDMap, counted.BetweenGIDMap = 10, "0 0 1\n", "0 0 1\n"
	fuse := birthOf(plainSpec())
	fuse.Spec.Root.Kind, fuse.FuseOverlay = spec.Fuse, "/usr/bin/fuse-overlayfs"
	return map[string]*Birth{"plain": birthOf(plainSpec()), "full": birthOf(fullSpec()), "real root": real, "host namespaces": host, "fuse": fuse, "counted": counted}
}

func execs() map[string]*Exec {
	return map[string]*Exec{"plain": execOf(plainSpec()), "full": execOf(fullSpec())}
}

// The order of the calls is the design; a change of it is to be seen in a review. `go test -update` writes it anew.
func TestSequenceOfCalls(t *testing.T) {
	for name, l := range map[string]*spawn.List{"birth": birthOf(plainSpec()).List(), "exec": execOf(plainSpec()).List()} {
		file := filepath.Join("testdata", name+".txt")
		got := folded(l.Names())
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("%s (-%s +now):\n%s", name, file, diff)
		}
	}
}

// folded is a line a call; pseudo calls and jumps, which are no kernel's business, are left out, repetitions folded.
func folded(names []string) string {
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "load" || n == "jump" })
	return strings.Join(slices.Compact(names), "\n") + "\n"
}

// index is the first call that fits, or a failure.
func index(t *testing.T, steps []spawn.Step, what string, fits func(spawn.Step) bool) int {
	t.Helper()
	i := slices.IndexFunc(steps, fits)
	if i < 0 {
		t.Fatalf("no call %s", what)
	}
	return i
}

func named(t *testing.T, steps []spawn.Step, name string) int {
	t.Helper()
	return index(t, steps, name, func(s spawn.Step) bool { return s.Name == name })
}

func numbered(nr uintptr) func(spawn.Step) bool {
	return func(s spawn.Step) bool { return s.Number == nr }
}

const setName = 15 // PR_SET_NAME, prctl(2)

// What the caller left open must not get anywhere: it is closed before anything happens but the taking of a name.
func TestDescriptorsAreClosedFirst(t *testing.T) {
	check := func(name string, l *spawn.List, end uintptr) {
		steps := slices.DeleteFunc(l.Steps(), func(s spawn.Step) bool { return s.Number == syscall.SYS_PRCTL && s.Args[0] == setName })
		if s := steps[0]; s.Number != sys.SYS_CLOSE_RANGE || s.Args[0] != end || s.Args[1] != 1<<32-1 || s.Args[2] != 0 {
			t.Errorf("%s begins with %+v", name, s)
		}
	}
	for name, b := range births() {
		check("birth "+name, b.List(), fdEnd)
		if n := uintptr(len(NoFiles().Order())); n != fdEnd {
			t.Errorf("%d descriptors, the list closes from %d on", n, fdEnd)
		}
	}
	for name, e := range execs() {
		check("exec "+name, e.List(), execEnd)
		if n := uintptr(len((ExecFiles{}).Order())); n != execEnd {
			t.Errorf("%d descriptors, the list closes from %d on", n, execEnd)
		}
	}
}

// Rule 1: a list that joins processes that are not ours is undumpable before, and executes nothing of ours after.
func TestExecJoinsUndumpable(t *testing.T) {
	for name, e := range execs() {
		l := e.List()
		steps := l.Steps()
		hide := index(t, steps, "PR_SET_DUMPABLE 0", func(s spawn.Step) bool {
			return s.Number == syscall.SYS_PRCTL && s.Args[0] == prSetDumpable && s.Args[1] == 0
		})
		join := index(t, steps, "setns", numbered(sys.SYS_SETNS))
		if hide > join {
			t.Errorf("%s: joins before it is unreadable", name)
		}
		onlyTheCommand(t, name, l, join+1)
		for _, s := range steps[join+1:] {
			if s.Number == syscall.SYS_PRCTL && s.Args[0] == prSetDumpable && s.Args[1] != 0 {
				t.Errorf("%s: readable again by %q", name, s.Name)
			}
		}
	}
}

// onlyTheCommand checks that from a call on nothing is joined, and nothing executed but what is looked for as "true".
func onlyTheCommand(t *testing.T, name string, l *spawn.List, from int) {
	t.Helper()
	executed := 0
	for _, s := range l.Steps()[from:] {
		switch s.Number {
		case sys.SYS_SETNS, sys.SYS_EXECVEAT:
			t.Errorf("%s: %q after the join", name, s.Name)
		case syscall.SYS_EXECVE:
			executed++
			if p := l.Text(s.Args[0]); s.Name != ExecCall || p != "/usr/bin/true" && p != "/bin/true" {
				t.Errorf("%s: %q executes %q", name, s.Name, p)
			}
		}
	}
	if executed != 2 {
		t.Errorf("%s: the command is tried %d times", name, executed)
	}
}

// The maker's last setns leads to the keeper's empty mounts; the guest itself joins nothing.
func TestGuestJoinsNothing(t *testing.T) {
	for name, b := range births() {
		steps := b.List().Steps()
		first := index(t, steps, "clone", func(s spawn.Step) bool { return s.Name == "making the container's namespaces" })
		last := len(steps) - 1
		for last > 0 && steps[last].Name != ExecCall {
			last--
		}
		for _, s := range steps[first+1 : last+1] {
			if s.Number == sys.SYS_SETNS || s.Number == sys.SYS_EXECVEAT {
				t.Errorf("%s: the guest calls %q", name, s.Name)
			}
		}
	}
}

// Rule 2: the order of the last calls. Each needs what the next takes away.
func TestRightsAreGivenUpInOrder(t *testing.T) {
	order := []string{
		"marking descriptors", "dropping a capability", "making a session keyring", "setting groups", "keeping capabilities",
		"setting the group", "setting the user", "giving up capabilities", "staying unreadable", "setting umask",
		"living on its own", "unblocking signals", "loading the seccomp filter", ExecCall,
	}
	check := func(name string, l *spawn.List, absent ...string) {
		names := l.Names()
		at := -1
		for _, o := range order {
			if slices.Contains(absent, o) {
				continue
			}
			first := slices.Index(names, o)
			if first <= at {
				t.Errorf("%s: %q is call %d, what must be before it call %d", name, o, first, at)
			}
			for at = first; at+1 < len(names) && slices.Contains(names[at+1:], o) && o != "marking descriptors"; at++ {
			}
		}
	}
	for name, b := range births() {
		absent := []string{"staying unreadable"}
		if b.Spec.Process.User.UID == 0 {
			absent = append(absent, "keeping capabilities")
		}
		check("birth "+name, b.List(), absent...)
	}
	for name, e := range execs() {
		absent := []string{"living on its own"}
		if e.Process.User.UID == 0 {
			absent = append(absent, "keeping capabilities")
		}
		check("exec "+name, e.List(), absent...)
	}
}

// Names inside a foreign root are resolved by the kernel within that root.
func TestMountTargetsAreOpenedInTheRoot(t *testing.T) {
	for name, b := range births() {
		l := b.List()
		var targets []string
		for _, s := range l.Steps() {
			if s.Number == sys.SYS_OPENAT2 && strings.HasPrefix(s.Name, "opening mount target ") {
				targets = append(targets, "/"+l.Text(s.Args[1]))
				if l.Word(s.Args[2])&sys.OPath == 0 || l.Word(s.Args[2]+16) != sys.ResolveInRoot|sys.ResolveNoMagic {
					t.Errorf("%s: %q is resolved by %#x", name, s.Name, l.Word(s.Args[2]+16))
				}
			}
		}
		var want []string
		for _, tree := range b.Spec.Root.Trees[1:] {
			want = append(want, tree.Target)
		}
		for _, f := range b.HostFiles {
			want = append(want, f.Target)
		}
		for i := range b.Spec.Mounts {
			if m := &b.Spec.Mounts[i]; !underDev(m) {
				want = append(want, m.Target)
			}
		}
		for _, w := range want {
			if !slices.Contains(targets, w) {
				t.Errorf("%s: %s is not opened in the root, only %v", name, w, targets)
			}
		}
	}
}

// A source within a foreign directory is resolved there by the kernel in the list itself, and what is found is bound by descriptor:
// whoever writes to that directory meanwhile cannot lead the mount elsewhere (CVE-2024-23651).
func TestForeignSourcesAreOpenedWithin(t *testing.T) {
	b := births()["full"]
	l := b.List()
	steps := l.Steps()
	at := named(t, steps, "opening mount source /foreign/name")
	if s := steps[at]; s.Number != sys.SYS_OPENAT2 || l.Word(s.Args[2]+16) != sys.ResolveInRoot|sys.ResolveNoMagic {
		t.Errorf("it is opened by call %d, resolved by %#x", s.Number, l.Word(s.Args[2]+16))
	}
	if s := steps[named(t, steps, "binding /foreign/name")]; s.Number != sys.SYS_OPEN_TREE || l.Text(s.Args[1]) != "" || s.Args[2]&sys.AtEmptyPath == 0 {
		t.Errorf("it is bound by the name %q", l.Text(s.Args[1]))
	}
	for _, s := range steps {
		for _, a := range pathArgs[s.Number] {
			if strings.HasPrefix(l.Text(s.Args[a[1]]), "/host/cache/") {
				t.Errorf("%q uses %q", s.Name, l.Text(s.Args[a[1]]))
			}
		}
	}
}

// pathArgs are the arguments of a call that are paths, with the descriptor they start from (-1: the working directory).
var pathArgs = map[uintptr][][2]int{
	syscall.SYS_OPENAT: {{0, 1}}, sys.SYS_OPENAT2: {{0, 1}}, syscall.SYS_MKDIRAT: {{0, 1}}, syscall.SYS_MKNODAT: {{0, 1}},
	syscall.SYS_UNLINKAT: {{0, 1}}, syscall.SYS_SYMLINKAT: {{1, 2}}, sys.SYS_OPEN_TREE: {{0, 1}}, sys.SYS_MOVE_MOUNT: {{0, 1}, {2, 3}},
	syscall.SYS_MOUNT: {{-1, 0}, {-1, 1}}, syscall.SYS_CHDIR: {{-1, 0}}, syscall.SYS_PIVOT_ROOT: {{-1, 0}, {-1, 1}},
	syscall.SYS_UMOUNT2: {{-1, 0}}, syscall.SYS_EXECVE: {{-1, 0}}, sys.SYS_MOUNT_SETATTR: {{0, 1}}, syscall.SYS_CHROOT: {{-1, 0}},
}

// Before pivot_root a path that is a string leads through the machine, and through whatever links an image puts in its way:
// only the machine's own are used, and the image's by descriptor, one name at a time or within the root.
func TestNoPathOfTheImageBeforePivot(t *testing.T) {
	for name, b := range births() {
		l := b.List()
		steps := l.Steps()
		allowed := machinePaths(b)
		for _, s := range steps[:named(t, steps, "changing the root")] {
			for _, a := range pathArgs[s.Number] {
				path := l.Text(s.Args[a[1]])
				switch fromCwd := a[0] < 0 || s.Args[a[0]] == atFdcwd; {
				case path == "" || fromCwd && allowed[path]:
				case (path == "/proc" || path == "/sys") && s.Number == sys.SYS_OPEN_TREE:
				case !fromCwd && s.Number == sys.SYS_OPENAT2:
				case !fromCwd && !strings.Contains(path, "/") && path != "..":
				default:
					t.Errorf("%s: %q uses the path %q", name, s.Name, path)
				}
			}
		}
	}
}

// machinePaths are the paths that a birth may use by name: the machine's, and the mount point.
func machinePaths(b *Birth) map[string]bool {
	m := map[string]bool{"/": true, "overlay": true, b.Dir: true, b.Mnt: true}
	for _, f := range b.HostFiles {
		m[f.Source] = true
	}
	for _, x := range b.Spec.Mounts {
		if m[x.Within] = true; x.Within == "" {
			m[x.Source] = true
		}
	}
	for _, d := range b.Spec.Host.Devices {
		m[d.Source] = true
	}
	for _, d := range standardDevices {
		m[d] = true
	}
	if b.Spec.Root.Kind == spec.Fuse {
		m[b.FuseOverlay], m["../../"+filepath.Base(b.Mnt)] = true, true // the mount point, seen from the container's directory
		m["/proc/self/environ/fuse-overlayfs has ended"] = true         // fails on purpose
	}
	return m
}
