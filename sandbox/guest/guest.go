package guest

import (
	"path"
	"sort"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// guest: what the container's first process does from its birth to the command.
func (w *writer) guest() {
	w.Call("dying with the maker", syscall.SYS_PRCTL, prSetPDeathSig, uintptr(syscall.SIGKILL), 0, 0, 0)
	w.closeMakers()
	if !w.joins() {
		w.Call("waiting for the id map", syscall.SYS_READ, fdMapR, uintptr(w.Words(0)), 1)
	}
	w.Call("leading a session", syscall.SYS_SETSID)
	devices, late := w.cloneDevices(), w.cloneLate()
	if w.s.Host.IPC == spec.FromHost {
		w.shm = w.cloneTree("/dev/shm", 0)
	}
	proc, sysfs := w.openProc(), w.openSys()
	w.pivot()
	w.placeIn("/proc", proc)
	w.devices(devices)
	w.placeLate(late)
	w.placeIn("/sys", sysfs)
	w.cgroup()
	w.uts()
	if w.s.Host.Network != string(spec.FromHost) {
		w.loopback()
	}
	w.sysctls()
	if !w.s.Process.Privileged && !w.s.Process.Unmasked {
		w.mask()
	}
	if w.s.Process.TTY {
		w.terminal("/dev/pts/ptmx", w.b.Winsize)
		w.console()
	} else {
		w.pipes()
	}
	if w.b.APTConfig != "" {
		w.aptConfig()
	}
	if w.s.Root.ReadOnly {
		w.Call("making the root read-only", syscall.SYS_MOUNT, 0, w.Str("/"), 0, syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY|syscall.MS_NODEV, 0)
	}
	w.workdir(w.s.Process.Dir)
	if w.b.Wait {
		w.Call("waiting for the network", syscall.SYS_READ, fdGo, uintptr(w.Words(0)), 1)
	}
	p := process{Process: &w.s.Process, filter: w.b.Filter, setGroups: w.b.SetGroups, nice: w.b.Nice, affinity: w.b.Affinity, life: diesWithMaker}
	if w.s.Process.Init {
		w.supervised(&p)
		return
	}
	p.become(w.List)
}

// closeMakers closes everything that the guest does not need itself, above all descriptors of the machine's directories: a
// working directory such as /proc/self/fd/10/../.. would lead through them (CVE-2024-21626). What the maker opened lies in
// any free number, so it is the kept ones that are named.
func (w *writer) closeMakers() {
	next := uintptr(fdNS)
	for _, keep := range w.guestFiles() {
		if keep > next {
			w.Call("closing the maker's descriptors", sys.SYS_CLOSE_RANGE, next, keep-1, 0)
		}
		next = keep + 1
	}
	w.Call("closing the maker's descriptors", sys.SYS_CLOSE_RANGE, next, 1<<32-1, 0)
}

// guestFiles are the descriptors that the guest goes on with, in ascending order.
func (w *writer) guestFiles() []uintptr {
	keep := []uintptr{fdReport, fdMapR, fdExecW}
	p := &w.s.Process
	if p.Stdin && !p.TTY {
		keep = append(keep, fdStdin)
	}
	if p.TTY {
		keep = append(keep, fdTTY, fdTTYOut)
	} else {
		keep = append(keep, fdStdout, fdStderr)
	}
	if w.b.Wait {
		keep = append(keep, fdGo)
	}
	if w.s.Host.IPC.Of() != "" {
		keep = append(keep, fdShm)
	}
	return keep
}

// underDev tells whether a mount lies in /dev, which the guest makes itself: it is mounted after that.
func underDev(m *spec.Mount) bool { return strings.HasPrefix(m.Target, "/dev/") }

// cloneLate takes the sources of mounts in /dev while they can be seen.
func (w *writer) cloneLate() (out []spawn.Addr) {
	for i := range w.s.Mounts {
		m := &w.s.Mounts[i]
		if !underDev(m) {
			continue
		}
		var mnt spawn.Addr
		if m.Type == spec.Tmpfs {
			mnt = w.tmpfs(m)
		} else {
			mnt = w.source(m)
			if m.ReadOnly {
				w.attributes(mnt, m.Target, attrReadOnly)
			}
		}
		out = append(out, mnt)
	}
	return out
}

// placeLate mounts them; nobody but the guest has been in this /dev.
func (w *writer) placeLate(mnts []spawn.Addr) {
	for i := range w.s.Mounts {
		m := &w.s.Mounts[i]
		if !underDev(m) {
			continue
		}
		w.parents(m.Target)
		if m.File {
			w.Try("making "+m.Target, syscall.SYS_MKNODAT, atFdcwd, w.Str(m.Target), syscall.S_IFREG|0o666, 0)
		} else {
			w.Try("making "+m.Target, syscall.SYS_MKDIRAT, atFdcwd, w.Str(m.Target), 0o755)
		}
		w.CallWith(mnts[0], 0, "mounting "+m.Target, sys.SYS_MOVE_MOUNT, 0, w.Str(""), atFdcwd, w.Str(m.Target), sys.MoveMountFromEmpty)
		w.CallWith(mnts[0], 0, "closing "+m.Target, syscall.SYS_CLOSE, 0)
		mnts = mnts[1:]
	}
}

// standardDevices are the device nodes of every container.
var standardDevices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}

// device is a detached mount of a node and its place.
type device struct {
	target string
	mnt    spawn.Addr
}

// cloneDevices takes the machine's nodes while they can be seen. They are used by descriptor, so that no link of the image
// can put something else in their place.
func (w *writer) cloneDevices() (out []device) {
	for _, d := range standardDevices {
		out = append(out, device{d, w.cloneTree(d, 0)})
	}
	for _, d := range w.s.Host.Devices {
		mnt := w.cloneTree(d.Source, 0)
		if d.Perm != "" && !strings.Contains(d.Perm, "w") {
			w.attributes(mnt, d.Target, attrReadOnly)
		}
		out = append(out, device{d.Target, mnt})
	}
	return out
}

const nosuidNoexecNodev = attrNoSUID | attrNoExec | attrNoDev

// openProc makes a proc for the guest's own processes; where the kernel refuses a fresh one (something covers a part of
// the machine's /proc, mount_too_revealing), it is what is mounted there already.
func (w *writer) openProc() spawn.Addr {
	return w.fresh("proc", "/proc", nosuidNoexecNodev)
}

// openSys makes a sysfs of the guest's own network; one that is shared cannot be made (its network namespace is not
// owned), it is the machine's, read-only all through.
func (w *writer) openSys() spawn.Addr {
	attr := uintptr(nosuidNoexecNodev)
	if !w.s.Process.Privileged {
		attr |= attrReadOnly
	}
	if w.s.Host.Network != string(spec.FromHost) {
		return w.fresh("sysfs", "/sys", attr)
	}
	mnt := w.cloneTree("/sys", sys.AtRecursive)
	w.attributes(mnt, "/sys", nosuidNoexecNodev|attrReadOnly)
	return mnt
}

// fresh makes a file system, or takes what is mounted at path if it may not be made.
func (w *writer) fresh(fstype, path string, attr uintptr) spawn.Addr {
	ctx, mnt := w.Words(0), w.Words(0)
	w.Save(w.Call("opening "+fstype, sys.SYS_FSOPEN, w.Str(fstype), 1), ctx)
	create := w.CallWith(ctx, 0, "creating "+fstype, sys.SYS_FSCONFIG, 0, fsconfigCreate, 0, 0, 0)
	make := w.CallWith(ctx, 0, "mounting "+fstype, sys.SYS_FSMOUNT, 0, 1, attr)
	w.Save(make, mnt)
	bound := w.Call("binding "+path, sys.SYS_OPEN_TREE, atFdcwd, w.Str(path), sys.OpenTreeClone|syscall.O_CLOEXEC|sys.AtRecursive)
	w.Save(bound, mnt)
	w.attributes(mnt, path, uint64(attr))
	w.OnError(create, bound)
	w.OnError(make, bound)
	w.IfNotZero(make, w.Next())
	return mnt
}

// pivot moves the guest into its root. The root was mounted by the maker and is locked here, so it is bound onto itself.
func (w *writer) pivot() {
	dot := w.Str(".")
	w.Call("binding the root", syscall.SYS_MOUNT, w.mnt, w.mnt, 0, syscall.MS_BIND|syscall.MS_REC, 0)
	w.Call("entering the root", syscall.SYS_CHDIR, w.mnt)
	w.Call("changing the root", syscall.SYS_PIVOT_ROOT, dot, dot)
	w.Call("leaving the machine's root", syscall.SYS_UMOUNT2, dot, syscall.MNT_DETACH)
	w.Call("entering /", syscall.SYS_CHDIR, w.Str("/"))
}

// directory makes a directory of the root where it is missing, and makes sure that it is no link.
func (w *writer) directory(name string) {
	w.Try("making "+name, syscall.SYS_MKDIRAT, atFdcwd, w.Str(name), 0o755)
	fd := w.open("opening "+name+" of the image", name, sys.OPath|syscall.O_DIRECTORY|syscall.O_NOFOLLOW)
	w.CallWith(fd, 0, "closing "+name, syscall.SYS_CLOSE, 0)
}

// placeIn moves a detached mount to a directory of the guest's root.
func (w *writer) placeIn(name string, mnt spawn.Addr) {
	w.directory(name)
	w.CallWith(mnt, 0, "mounting "+name, sys.SYS_MOVE_MOUNT, 0, w.Str(""), atFdcwd, w.Str(name), sys.MoveMountFromEmpty)
	w.CallWith(mnt, 0, "closing "+name, syscall.SYS_CLOSE, 0)
}

// fs mounts a file system of the guest's own at a path that is known to be no link.
func (w *writer) fs(fstype, name string, flags uintptr, opts string) spawn.Op {
	var o uintptr
	if opts != "" {
		o = w.Str(opts)
	}
	return w.Call("mounting "+name, syscall.SYS_MOUNT, w.Str(fstype), w.Str(name), w.Str(fstype), flags, o)
}

// devices fills /dev as Docker does.
func (w *writer) devices(nodes []device) {
	const strictatime = 1 << 24
	w.directory("/dev")
	w.fs("tmpfs", "/dev", syscall.MS_NOSUID|strictatime, "mode=755,size=65536k")
	for _, d := range []string{"/dev/pts", "/dev/shm", "/dev/mqueue"} {
		w.Call("making "+d, syscall.SYS_MKDIRAT, atFdcwd, w.Str(d), 0o755)
	}
	for _, n := range nodes {
		w.parents(n.target)
		w.Call("making "+n.target, syscall.SYS_MKNODAT, atFdcwd, w.Str(n.target), syscall.S_IFREG|0o666, 0)
		w.CallWith(n.mnt, 0, "mounting "+n.target, sys.SYS_MOVE_MOUNT, 0, w.Str(""), atFdcwd, w.Str(n.target), sys.MoveMountFromEmpty)
		w.CallWith(n.mnt, 0, "closing "+n.target, syscall.SYS_CLOSE, 0)
	}
	for _, l := range [][2]string{
		{"pts/ptmx", "/dev/ptmx"}, {"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
	} {
		w.Call("linking "+l[1], syscall.SYS_SYMLINKAT, w.Str(l[0]), atFdcwd, w.Str(l[1]))
	}
	pts := "newinstance,ptmxmode=0666,mode=0620"
	if w.b.SetGroups { // more than one id: gid 5 (tty) is there
		pts += ",gid=5"
	}
	w.fs("devpts", "/dev/pts", syscall.MS_NOSUID|syscall.MS_NOEXEC, pts)
	w.sharedMemory()
}

// parents makes the directories above a device of the user's.
func (w *writer) parents(target string) {
	for dir := path.Dir(target); dir != "/dev" && dir != "/" && dir != "."; dir = path.Dir(dir) {
		defer w.Try("making "+dir, syscall.SYS_MKDIRAT, atFdcwd, w.Str(dir), 0o755)
	}
}

// sharedMemory mounts what belongs to the ipc namespace.
func (w *writer) sharedMemory() {
	const flags = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
	ipc := w.s.Host.IPC
	switch {
	case ipc == spec.FromHost:
		w.placeIn("/dev/shm", w.shm)
	case ipc.Of() != "":
		w.Call("mounting /dev/shm", sys.SYS_MOVE_MOUNT, fdShm, w.Str(""), atFdcwd, w.Str("/dev/shm"), sys.MoveMountFromEmpty)
		w.Call("closing /dev/shm", syscall.SYS_CLOSE, fdShm)
	case ipc != spec.None:
		w.fs("tmpfs", "/dev/shm", flags, "mode=1777,size="+decimal(w.s.Host.ShmSize))
	}
	if ipc != spec.FromHost {
		w.fs("mqueue", "/dev/mqueue", flags, "")
	}
}

// cgroup shows the unified tree of the guest's cgroup namespace where there is one.
func (w *writer) cgroup() {
	if !w.b.Present("/sys/fs/cgroup") || w.s.Host.Network == string(spec.FromHost) {
		return
	}
	op := w.fs("cgroup2", "/sys/fs/cgroup", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC|syscall.MS_RDONLY, "")
	w.OnError(op, w.Next())
}

func (w *writer) uts() {
	if !w.s.Host.UTS.Owned() {
		return
	}
	name := w.s.Host.Hostname
	w.Call("setting the host name", syscall.SYS_SETHOSTNAME, w.Str(name), uintptr(len(name)))
	if d := w.s.Config.Domainname; d != "" {
		w.Call("setting the domain name", syscall.SYS_SETDOMAINNAME, w.Str(d), uintptr(len(d)))
	}
}

// loopback brings lo up.
func (w *writer) loopback() {
	fd := w.Words(0)
	w.Save(w.Call("opening a socket", syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0), fd)
	req := make([]byte, 40) // struct ifreq
	copy(req, "lo")
	req[16] = iffUpRunning
	w.CallWith(fd, 0, "bringing lo up", syscall.SYS_IOCTL, 0, siocsifflags, uintptr(w.Bytes(req)))
	w.CallWith(fd, 0, "closing the socket", syscall.SYS_CLOSE, 0)
}

// sysctls sets Docker's defaults (low ports are open to everybody inside) and the user's.
func (w *writer) sysctls() {
	if w.s.Host.Network != string(spec.FromHost) {
		w.sysctl("net/ipv4/ip_unprivileged_port_start", "0", optional)
		w.sysctl("net/ipv4/ping_group_range", "0 "+decimal(w.b.LastGID), optional)
	}
	keys := make([]string, 0, len(w.s.Host.Sysctls))
	for k := range w.s.Host.Sysctls {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		w.sysctl(strings.ReplaceAll(k, ".", "/"), w.s.Host.Sysctls[k], required)
	}
}

// A need says whether a failure ends the birth.
type need int

const (
	required need = iota
	optional
)

func (w *writer) sysctl(name, value string, n need) {
	fd := w.Words(0)
	open := w.Call("opening sysctl "+name, syscall.SYS_OPENAT, atFdcwd, w.Str("/proc/sys/"+name), syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	w.Save(open, fd)
	write := w.CallWith(fd, 0, "writing sysctl "+name, syscall.SYS_WRITE, 0, w.Str(value), uintptr(len(value)))
	shut := w.Next()
	w.CallWith(fd, 0, "closing sysctl "+name, syscall.SYS_CLOSE, 0)
	if n == optional {
		w.OnError(open, w.Next())
		w.OnError(write, shut)
	}
}

// maskedFiles and maskedDirs are what Docker hides of /proc and /sys.
var (
	maskedFiles = []string{
		"/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/timer_list", "/proc/timer_stats",
	}
	maskedDirs    = []string{"/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"}
	readOnlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// MaskedPaths and ReadOnlyPaths are the same for inspect, in Docker's order.
func MaskedPaths() []string {
	all := append(append([]string{}, maskedDirs...), maskedFiles...)
	sort.Strings(all)
	return all
}

// ReadOnlyPaths are the paths that a container sees but cannot write.
func ReadOnlyPaths() []string { return append([]string{}, readOnlyPaths...) }

// mask hides and protects. What is not there on this machine is left out; what is there must be masked or the birth fails.
func (w *writer) mask() {
	null := w.Str("/dev/null")
	for _, f := range maskedFiles {
		if w.b.Present(f) {
			w.Call("masking "+f, syscall.SYS_MOUNT, null, w.Str(f), 0, syscall.MS_BIND, 0)
		}
	}
	const ro = syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
	dirs := maskedDirs
	for i := range w.b.CPUs { // those that are offline have none
		dirs = append(dirs[:len(dirs):len(dirs)], "/sys/devices/system/cpu/cpu"+decimal(int64(i))+"/thermal_throttle")
	}
	for _, d := range dirs {
		if w.b.Present(d) {
			w.fs("tmpfs", d, ro, "size=0k")
		}
	}
	for _, p := range readOnlyPaths {
		if w.b.Present(p) {
			w.Call("binding "+p, syscall.SYS_MOUNT, w.Str(p), w.Str(p), 0, syscall.MS_BIND|syscall.MS_REC, 0)
			w.Call("protecting "+p, syscall.SYS_MOUNT, 0, w.Str(p), 0, syscall.MS_BIND|syscall.MS_REMOUNT|ro, 0)
		}
	}
}

// pipes makes the command's descriptors out of pipes; without input it is the container's own /dev/null.
func (w *writer) pipes() {
	if w.s.Process.Stdin {
		w.Call("taking the input", sys.SYS_DUP3, fdStdin, 0, 0)
	} else {
		fd := w.open("opening /dev/null", "/dev/null", syscall.O_RDONLY)
		w.CallWith(fd, 0, "taking /dev/null", sys.SYS_DUP3, 0, 0, 0)
	}
	w.Call("taking the output", sys.SYS_DUP3, fdStdout, 1, 0)
	w.Call("taking the errors", sys.SYS_DUP3, fdStderr, 2, 0)
}

// APTConfigPath is where a configuration for apt lies in containers that need one: in /dev, so that it never gets into a
// layer.
const APTConfigPath = "/dev/moss-apt.conf"

func (w *writer) aptConfig() {
	c := w.b.APTConfig
	fd := w.open("making "+APTConfigPath, APTConfigPath, syscall.O_WRONLY|syscall.O_CREAT)
	w.CallWith(fd, 0, "writing "+APTConfigPath, syscall.SYS_WRITE, 0, w.Str(c), uintptr(len(c)))
	w.CallWith(fd, 0, "closing "+APTConfigPath, syscall.SYS_CLOSE, 0)
}

// workdir makes the working directory, as Docker does, and enters it. Links of the image are followed within the root;
// magic links, which lead anywhere, are not.
func (w *writer) workdir(dir string) {
	if dir == "" || dir == "/" {
		return
	}
	fd := w.Words(0)
	open := w.openDir(dir, dir, fd)
	w.OnError(open, w.Next()+1)
	have := w.Jump(0)
	prefix, parent := "", w.open("opening /", "/", sys.OPath|syscall.O_DIRECTORY)
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+dir), "/"), "/") {
		prefix += "/" + part
		w.tryWith(parent, "making "+prefix, syscall.SYS_MKDIRAT, 0, w.Str(part), 0o755)
		next := w.Words(0)
		w.openDir(prefix, dir, next)
		parent = next
	}
	w.Feed(w.Load(parent), w.Next(), 0)
	w.Call("entering working directory", syscall.SYS_FCHDIR, 0)
	done := w.Jump(0)
	w.IfNotZero(have, w.Next())
	w.CallWith(fd, 0, "entering working directory", syscall.SYS_FCHDIR, 0)
	w.IfNotZero(done, w.Next())
}

// openDir opens a directory without following magic links. The call's name is the beginning of runc's sentence.
func (w *writer) openDir(path, dir string, fd spawn.Addr) spawn.Op {
	return openDir(w.List, path, dir, fd)
}

func openDir(l *spawn.List, path, dir string, fd spawn.Addr) spawn.Op {
	how := l.Words(sys.OPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0, sys.ResolveNoMagic)
	op := l.Call(ChdirCall+" (\""+dir+"\")", sys.SYS_OPENAT2, atFdcwd, l.Str(path), uintptr(how), sys.OpenHowSize)
	l.Save(op, fd)
	return op
}

// ChdirCall begins the name of the call that enters the working directory, in a *spawn.CallError.
const ChdirCall = "chdir to cwd"
