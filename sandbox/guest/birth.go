package guest

import (
	"syscall"

	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A Birth is what a birth list is made of.
type Birth struct {
	Spec *spec.Spec
	Dir  string // the container's directory on the host: upper directories and files of its own are below it
	Mnt  string // an empty directory on the host, where the maker mounts the root

	UIDMap, GIDMap string // of the guest's namespace, in terms of the user's
	SetGroups      bool   // whether setgroups(2) is allowed there
	RealRoot       bool   // the maker must leave the machine's uid 0 first
	Filter         []byte // seccomp program, struct sock_filter each; empty for none
	HostFiles      []HostFile
	FuseOverlay    string // path of fuse-overlayfs, for that kind of root
	Wait           bool   // wait for the network before the command
	Cgroup         bool   // born in a cgroup of its own
	Nice           int
	Nproc          int64  // processes of the whole container, 0 for no limit; see between
	BetweenUIDMap  string // of the namespace between, for Nproc: the user's own ids
	BetweenGIDMap  string
	Upper          int64  // bytes of memory that hold what is written to the root; 0 where a directory does
	Affinity       []byte // cpu mask of sched_setaffinity(2)
	Winsize        [4]uint16
	LastGID        int64                  // the highest group id inside
	CPUs           int                    // processors that this machine may have
	APTConfig      string                 // content of APTConfigPath; empty for no such file
	Present        func(path string) bool // whether a path of /proc or /sys is there on this machine
}

// A HostFile is a file of the container's directory that is shown in the container: hosts, hostname, resolv.conf.
type HostFile struct{ Source, Target string }

// writer writes the calls of maker and guest into one list.
type writer struct {
	*spawn.List
	b      *Birth
	s      *spec.Spec
	mnt    uintptr    // the path where the maker mounts the root
	rootFD spawn.Addr // word with a descriptor of the root, in the maker
	shm    spawn.Addr // word with the machine's /dev/shm, in the guest that shares it
}

// List writes the birth.
func (b *Birth) List() *spawn.List {
	w := &writer{List: spawn.New(), b: b, s: b.Spec}
	w.mnt = w.Str(b.Mnt)
	w.enter()
	w.assemble()
	w.borrowShm()
	pid := w.Words(0, spawn.Told)
	switch {
	case w.joins():
		w.goBetween(pid)
	case b.Nproc > 0:
		w.between(pid)
	default:
		w.clone(pid)
		w.closeGuestEnd()
		w.welcome(pid)
	}
	w.follow()
	w.hold(pid)
	return w.List
}

// enter: the maker joins the user's namespace and gets mounts of its own. It stays dumpable, since it writes a map.
func (w *writer) enter() {
	w.Name("moss-holder")
	w.Call("closing what was left open", sys.SYS_CLOSE_RANGE, fdEnd, 1<<32-1, 0)
	w.Call("joining the user namespace", sys.SYS_SETNS, fdNS, sys.NewUser)
	if w.b.RealRoot {
		w.Call("leaving root's groups", syscall.SYS_SETGROUPS, 0, 0)
		w.Call("leaving root's group", syscall.SYS_SETRESGID, 0, 0, 0)
		w.Call("leaving root", syscall.SYS_SETRESUID, 0, 0, 0)
		w.Call("staying readable", syscall.SYS_PRCTL, prSetDumpable, 1, 0, 0, 0)
	}
	w.Call("making a mount namespace", syscall.SYS_UNSHARE, sys.NewNS)
	w.Call("making mounts private", syscall.SYS_MOUNT, 0, w.Str("/"), 0, syscall.MS_REC|syscall.MS_PRIVATE, 0)
}

// namespaces that the guest gets of its own.
func (w *writer) namespaces() uint64 {
	ns := uint64(sys.NewNS)
	h := &w.s.Host
	for _, x := range []struct {
		own  bool
		flag uint64
	}{
		{!w.joins(), sys.NewUser},
		{h.Cgroup.Owned(), sys.NewCgroup},
		{h.PID.Owned(), sys.NewPID},
		{h.IPC.Owned(), sys.NewIPC},
		{h.UTS.Owned(), sys.NewUTS},
		{spec.Share(h.Network).Owned() && !(w.joins() && w.b.Wait), sys.NewNet},
	} {
		if x.own {
			ns |= x.flag
		}
	}
	return ns
}

// clone makes the guest, whose calls come next; those of its maker follow them.
func (w *writer) clone(pid spawn.Addr) {
	clone := w.Call("making the container's namespaces", sys.SYS_CLONE3, w.cloneArgs(pid), 88)
	w.guest()
	w.IfNotZero(clone, w.Next())
}

// cloneArgs is struct clone_args of clone3(2). The kernel writes the guest's pid into the word before the guest can run:
// saving the call's result would be done by both sides of the shared memory, and the guest's 0 might come last.
func (w *writer) cloneArgs(pid spawn.Addr) uintptr {
	args := [11]uint64{w.namespaces() | w.shares() | parentSetTID, 0, 0, uint64(pid), uint64(syscall.SIGCHLD)}
	if w.b.Nproc > 0 || w.joins() {
		args[0] |= cloneParent
		args[4] = 0 // the signal is that of the process between
	}
	if w.b.Cgroup {
		args[0] |= intoCgroup
		args[10] = fdCgroup
	}
	return uintptr(w.Words(args[:]...))
}

// welcome: the guest's parent writes its map, tells the pid, and lets it go on.
func (w *writer) welcome(pid spawn.Addr) {
	w.writeMaps("the container's process", pid, w.b.UIDMap, w.b.GIDMap)
	w.Call("telling the pid", syscall.SYS_WRITE, fdReport, uintptr(pid), 16)
	w.Call("telling that the map is there", syscall.SYS_WRITE, fdMapW, w.mnt, 1)
}

// writeMaps writes the id map of a child whose pid stands in a word.
func (w *writer) writeMaps(whose string, pid spawn.Addr, uidMap, gidMap string) {
	path := w.String("/proc/////////////")
	d := w.Next() + 1
	w.Feed(w.Load(pid), d, 0)
	w.Decimal("pid in decimal", path+17)
	w.Call("finding "+whose, syscall.SYS_CHDIR, uintptr(path))
	w.writeFile("uid_map", uidMap)
	w.writeFile("gid_map", gidMap)
}

// closeGuestEnd: the maker learns of the guest's execve, or its end, by the end of the pipe.
func (w *writer) closeGuestEnd() { w.Call("closing the guest's end", syscall.SYS_CLOSE, fdExecW) }

// follow: the maker waits until the guest has executed the command.
func (w *writer) follow() {
	if w.s.Process.TTY {
		w.receiveTTY()
	}
	w.Call("waiting for the command", syscall.SYS_READ, fdExecR, uintptr(w.Words(0)), 1)
}

// writeFile writes a file of the present directory.
func (w *writer) writeFile(name, content string) {
	fd := w.open("opening "+name, name, syscall.O_WRONLY)
	w.CallWith(fd, 0, "writing "+name, syscall.SYS_WRITE, 0, w.Str(content), uintptr(len(content)))
	w.CallWith(fd, 0, "closing "+name, syscall.SYS_CLOSE, 0)
}

// open opens a path and returns the word with its descriptor.
func (w *writer) open(what, path string, flags uintptr) spawn.Addr {
	fd := w.Words(0)
	w.Save(w.Call(what, syscall.SYS_OPENAT, atFdcwd, w.Str(path), flags|syscall.O_CLOEXEC, 0o666), fd)
	return fd
}

// OutcomeAt is the offset in "alive" at which a holder writes how the first process ended: the siginfo_t of waitid(2).
const OutcomeAt = 64

// OutcomeSize is the size of a siginfo_t.
const OutcomeSize = 128

// hold turns the maker into the holder: it keeps the descriptors of a holder, leaves the mounts for the keeper's empty
// root, gives its memory back, and waits for the first process's end. It writes how that ended into the lock file, and
// reaps nothing, so that the pid stays the container's. (The status in a zombie's stat line cannot be relied on: Linux
// 6.18.44 shows that of a process of another user namespace to the machine's root alone.) Then it waits to be killed.
func (w *writer) hold(pid spawn.Addr) {
	w.CallWith(w.rootFD, 0, "keeping the root", sys.SYS_DUP3, 0, HolderRoot, 0)
	w.Call("leaving the mounts", sys.SYS_SETNS, fdNS, sys.NewNS)
	for _, k := range []struct {
		name     string
		from, to uintptr
		wanted   bool
	}{
		{"the lock", fdAlive, HolderAlive, true},
		{"the namespace", fdUse, HolderUse, true},
		{"the input", fdHoldIn, HolderStdin, w.s.Process.Stdin && !w.s.Process.StdinOnce && !w.s.Process.TTY},
		{"the output", fdHoldO, HolderStdout, !w.s.Process.TTY},
		{"the errors", fdHoldE, HolderStderr, !w.s.Process.TTY},
		{"the terminal", fdNull, HolderMaster, w.s.Process.TTY}, // the lowest number, see receiveTTY
	} {
		if k.wanted {
			w.Call("keeping "+k.name, sys.SYS_DUP3, k.from, k.to, 0)
		}
	}
	w.Call("closing all above", sys.SYS_CLOSE_RANGE, HolderUse+1, 1<<32-1, 0)
	w.lastCalls(pid)
}

// lastCalls: the holder's life, in one page.
func (w *writer) lastCalls(pid spawn.Addr) {
	info := w.Bytes(make([]byte, OutcomeSize))
	id := w.Load(pid) // before its memory is given back
	w.Call("closing all below", sys.SYS_CLOSE_RANGE, 0, HolderAlive-1, 0)
	w.Shrink(info, 6)
	wait := w.Try("waiting for the container's end", syscall.SYS_WAITID, pPID, 0, uintptr(info), wEXITED|wNOWAIT, 0)
	w.Feed(id, wait, 1)
	w.Try("recording the container's end", syscall.SYS_PWRITE64, HolderAlive, uintptr(info), OutcomeSize, OutcomeAt)
	w.Rest("holding")
}
