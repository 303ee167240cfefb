package guest

import (
	"cmp"
	"path"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// assemble: the maker puts the root together at its mount point. What it mounts is locked for those inside, whatever their
// capabilities: they cannot unmount it or make a read-only one writable (user_namespaces(7)).
func (w *writer) assemble() {
	w.Call("entering the container's directory", syscall.SYS_CHDIR, w.Str(w.b.Dir))
	trees := w.s.Root.Trees
	if w.b.Upper > 0 && w.s.Root.Kind == spec.Overlay {
		trees = w.inMemory(trees)
	}
	w.mountRoot(&trees[0])
	w.rootFD = w.open("opening the root", w.b.Mnt, sys.OPath|syscall.O_DIRECTORY)
	for i := range trees[1:] {
		w.mountTree(&trees[i+1])
	}
	for _, f := range w.b.HostFiles {
		w.bindFile(f)
	}
	for i := range w.s.Mounts {
		if m := &w.s.Mounts[i]; !underDev(m) {
			w.mount(m)
		}
	}
}

// inMemory has what is written to the root lie in a memory file system of a size. It is gone with the container's end.
func (w *writer) inMemory(trees []spec.Tree) []spec.Tree {
	const dir = "memory"
	w.Try("making "+dir, syscall.SYS_MKDIRAT, atFdcwd, w.Str(dir), 0o755)
	w.fs("tmpfs", dir, syscall.MS_NODEV, "mode=755,size="+decimal(w.b.Upper))
	out := make([]spec.Tree, len(trees))
	for i, t := range trees {
		n := decimal(int64(i))
		t.Upper, t.Work = dir+"/upper"+n, dir+"/work"+n
		for _, d := range []string{t.Upper, t.Work} {
			w.Call("making "+d, syscall.SYS_MKDIRAT, atFdcwd, w.Str(d), 0o755)
		}
		out[i] = t
	}
	return out
}

// optionsLimit is the room that mount(2) has for options: a page.
const optionsLimit = 4000

// mountRoot mounts the tree of "/".
func (w *writer) mountRoot(t *spec.Tree) {
	switch {
	case w.s.Root.Kind == spec.Copy:
		w.Call("mounting the root", syscall.SYS_MOUNT, w.Str(t.Upper), w.mnt, 0, syscall.MS_BIND, 0)
	case w.s.Root.Kind == spec.Fuse:
		w.fuse(t)
	default:
		opts := w.overlayOptions(t)
		if len(opts) < optionsLimit && plain(t) {
			o := w.Str("overlay")
			w.Call("mounting overlay on the root", syscall.SYS_MOUNT, o, w.mnt, o, syscall.MS_NODEV, w.Str(opts))
			return
		}
		fs := w.overlay(t)
		w.CallWith(fs, 0, "placing the root", sys.SYS_MOVE_MOUNT, 0, w.Str(""), atFdcwd, w.mnt, sys.MoveMountFromEmpty)
	}
}

// plain tells whether no path needs an escape in an option string.
func plain(t *spec.Tree) bool {
	return !strings.ContainsAny(strings.Join(t.Lower, "")+t.Upper+t.Work, `,:\`)
}

func (w *writer) overlayOptions(t *spec.Tree) string {
	opts := "userxattr,"
	if w.s.Root.Volatile {
		opts += "volatile,"
	}
	return opts + "lowerdir=" + strings.Join(t.Lower, ":") + ",upperdir=" + t.Upper + ",workdir=" + t.Work
}

// overlay makes a detached overlay with the mount API, which takes any number of layers (lowerdir+, Linux 6.5) and any
// path; older kernels take one string of up to 255 bytes there.
func (w *writer) overlay(t *spec.Tree) spawn.Addr {
	set := []setting{{"userxattr", ""}}
	if w.s.Root.Volatile {
		set = append(set, setting{"volatile", ""})
	}
	if s := strings.Join(t.Lower, ":"); len(s) < 255 && plain(t) {
		set = append(set, setting{"lowerdir", s})
	} else {
		for _, l := range t.Lower {
			set = append(set, setting{"lowerdir+", l})
		}
	}
	set = append(set, setting{"upperdir", t.Upper}, setting{"workdir", t.Work})
	return w.detached("overlay on "+t.Target, "overlay", attrNoDev, set)
}

// setting is one fsconfig(2) call; without a value it is a flag.
type setting struct{ key, value string }

// detached makes a mount that is nowhere yet: fsopen(2), fsconfig(2), fsmount(2). The word with its descriptor is returned.
func (w *writer) detached(what, fstype string, attr uintptr, set []setting) spawn.Addr {
	ctx, mnt := w.Words(0), w.Words(0)
	w.Save(w.Call("opening "+what, sys.SYS_FSOPEN, w.Str(fstype), 1), ctx)
	for _, s := range set {
		if s.value == "" {
			w.CallWith(ctx, 0, "setting "+s.key+" of "+what, sys.SYS_FSCONFIG, 0, fsconfigFlag, w.Str(s.key), 0, 0)
		} else {
			w.CallWith(ctx, 0, "setting "+s.key+" of "+what, sys.SYS_FSCONFIG, 0, fsconfigString, w.Str(s.key), w.Str(s.value), 0)
		}
	}
	w.CallWith(ctx, 0, "creating "+what, sys.SYS_FSCONFIG, 0, fsconfigCreate, 0, 0, 0)
	w.Save(w.CallWith(ctx, 0, "mounting "+what, sys.SYS_FSMOUNT, 0, 1, attr), mnt)
	w.CallWith(ctx, 0, "closing "+what, syscall.SYS_CLOSE, 0)
	return mnt
}

// mountTree mounts a further tree of a root that is made of several.
func (w *writer) mountTree(t *spec.Tree) {
	fs := w.overlay(t)
	w.place(fs, t.Target, w.target(t.Target, asDirectory))
}

// fuse has fuse-overlayfs mount the root, a child of the maker that dies with it, and waits until the mount is there.
func (w *writer) fuse(t *spec.Tree) {
	args := w.Words(spawn.ShareMemory|cloneVfork, 0, 0, 0, uint64(syscall.SIGCHLD), 0, 0, 0, 0, 0, 0)
	c := w.Call("starting fuse-overlayfs", sys.SYS_CLONE3, uintptr(args), 88)
	opts := "lowerdir=" + strings.Join(t.Lower, ":") + ",upperdir=" + t.Upper + ",workdir=" + t.Work
	argv := w.Strings([]string{"fuse-overlayfs", "-f", "-o", opts, w.b.Mnt})
	w.Call("dying with the maker", syscall.SYS_PRCTL, prSetPDeathSig, uintptr(syscall.SIGKILL), 0, 0, 0)
	w.Call("closing descriptors", sys.SYS_CLOSE_RANGE, fdNS, 1<<32-1, sys.CloseRangeCloexec)
	w.Call("executing fuse-overlayfs", syscall.SYS_EXECVE, w.Str(w.b.FuseOverlay), uintptr(argv), uintptr(w.Strings(nil)))
	w.IfNotZero(c, w.Next())
	w.awaitMount()
}

// awaitMount waits until something is mounted on the mount point: opening it without leaving the file system is EXDEV then.
// A child that ends meanwhile has failed.
func (w *writer) awaitMount() {
	rel := "../../" + path.Base(w.b.Mnt) // from the container's directory
	how := w.Words(sys.OPath|syscall.O_CLOEXEC, 0, sys.ResolveNoXDev)
	again := w.Next()
	ended := w.Call("waiting for fuse-overlayfs", syscall.SYS_WAIT4, ^uintptr(0), 0, syscall.WNOHANG, 0)
	fd := w.Words(0)
	open := w.Call("looking for the mount", sys.SYS_OPENAT2, atFdcwd, w.Str(rel), uintptr(how), sys.OpenHowSize)
	w.Save(open, fd)
	w.CallWith(fd, 0, "closing the mount point", syscall.SYS_CLOSE, 0)
	w.Call("waiting for the mount", syscall.SYS_NANOSLEEP, uintptr(w.Words(0, 500_000)), 0)
	w.Jump(again)
	w.IfNotZero(ended, w.Next())
	w.Call("mounting with fuse-overlayfs (is /dev/fuse open to you?)", syscall.SYS_CHDIR, w.Str("/proc/self/environ/fuse-overlayfs has ended"))
	w.OnError(open, w.Next())
}

// A targetKind is what is made where a mount's target does not exist.
type targetKind int

const (
	asDirectory targetKind = iota
	asFile
	asOwnFile // in place of a link that leads nowhere
)

// target opens the place of a mount within the root, and makes it where it is missing, as Docker does. Every name is
// resolved by the kernel inside the root: a link cannot lead out, whatever somebody else does to the tree meanwhile.
func (w *writer) target(name string, kind targetKind) spawn.Addr {
	fd := w.Words(0)
	rel := strings.TrimPrefix(path.Clean("/"+name), "/")
	open := w.inRoot(rel, fd)
	skip := w.Next()
	w.OnError(open, skip)
	parent, prefix := w.rootFD, ""
	parts := strings.Split(rel, "/")
	for i, part := range parts {
		prefix = path.Join(prefix, part)
		if i < len(parts)-1 || kind == asDirectory {
			w.tryWith(parent, "making "+prefix, syscall.SYS_MKDIRAT, 0, w.Str(part), 0o755)
		} else {
			if kind == asOwnFile {
				w.tryWith(parent, "removing "+prefix, syscall.SYS_UNLINKAT, 0, w.Str(part), 0)
			}
			w.tryWith(parent, "making "+prefix, syscall.SYS_MKNODAT, 0, w.Str(part), syscall.S_IFREG|0o644, 0)
		}
		next := w.Words(0)
		if i == len(parts)-1 {
			next = fd
		}
		w.inRoot(prefix, next)
		parent = next
	}
	w.IfNotZero(open, w.Next())
	return fd
}

// inRoot opens a name within the root, as a place only.
func (w *writer) inRoot(rel string, fd spawn.Addr) spawn.Op {
	how := w.Words(sys.OPath|syscall.O_CLOEXEC, 0, sys.ResolveInRoot|sys.ResolveNoMagic)
	op := w.CallWith(w.rootFD, 0, "opening mount target /"+rel, sys.SYS_OPENAT2, 0, w.Str(rel), uintptr(how), sys.OpenHowSize)
	w.Save(op, fd)
	return op
}

// tryWith is CallWith whose failure is no error.
func (w *writer) tryWith(word spawn.Addr, name string, nr uintptr, args ...uintptr) {
	op := w.CallWith(word, 0, name, nr, args...)
	w.OnError(op, w.Next())
}

// place moves a detached mount to its target and closes both.
func (w *writer) place(mnt spawn.Addr, name string, target spawn.Addr) {
	w.Feed(w.Load(target), w.Next()+1, 2)
	w.CallWith(mnt, 0, "mounting on "+name, sys.SYS_MOVE_MOUNT, 0, w.Str(""), 0, w.Str(""), sys.MoveMountFromEmpty|sys.MoveMountToEmpty)
	w.CallWith(mnt, 0, "closing "+name, syscall.SYS_CLOSE, 0)
	w.CallWith(target, 0, "closing the target of "+name, syscall.SYS_CLOSE, 0)
}

// clone makes a detached copy of what is mounted at path, with everything below where rec is sys.AtRecursive.
func (w *writer) cloneTree(path string, rec uintptr) spawn.Addr {
	mnt := w.Words(0)
	w.Save(w.Call("opening "+path, sys.SYS_OPEN_TREE, atFdcwd, w.Str(path), sys.OpenTreeClone|syscall.O_CLOEXEC|rec), mnt)
	return mnt
}

// source is what a bind or volume shows. Within a foreign directory the kernel resolves the name when it is mounted, so that no
// link that somebody puts there meanwhile leads out (CVE-2024-23651).
func (w *writer) source(m *spec.Mount) spawn.Addr {
	if m.Within == "" {
		return w.cloneTree(m.Source, sys.AtRecursive)
	}
	dir, place, mnt := w.Words(0), w.Words(0), w.Words(0)
	how := w.Words(sys.OPath|syscall.O_CLOEXEC, 0, sys.ResolveInRoot|sys.ResolveNoMagic)
	w.Save(w.Call("opening "+m.Within, syscall.SYS_OPENAT, atFdcwd, w.Str(m.Within), sys.OPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0), dir)
	rel := cmp.Or(strings.TrimPrefix(path.Clean("/"+m.Source), "/"), ".")
	w.Save(w.CallWith(dir, 0, "opening mount source "+m.Source, sys.SYS_OPENAT2, 0, w.Str(rel), uintptr(how), sys.OpenHowSize), place)
	w.Save(w.CallWith(place, 0, "binding "+m.Source, sys.SYS_OPEN_TREE, 0, w.Str(""), sys.OpenTreeClone|syscall.O_CLOEXEC|sys.AtRecursive|sys.AtEmptyPath), mnt)
	w.CallWith(place, 0, "closing the source of "+m.Target, syscall.SYS_CLOSE, 0)
	w.CallWith(dir, 0, "closing "+m.Within, syscall.SYS_CLOSE, 0)
	return mnt
}

// attributes sets mount attributes on a detached mount and everything in it.
func (w *writer) attributes(mnt spawn.Addr, name string, set uint64) {
	attr := w.Words(set, 0, 0, 0)
	w.CallWith(mnt, 0, "restricting "+name, sys.SYS_MOUNT_SETATTR, 0, w.Str(""), sys.AtEmptyPath|sys.AtRecursive, uintptr(attr), 32)
}

// bindFile shows a file of the container's directory.
func (w *writer) bindFile(f HostFile) {
	w.place(w.cloneTree(f.Source, 0), f.Target, w.target(f.Target, asOwnFile))
}

// mount mounts what the user or the image asked for.
func (w *writer) mount(m *spec.Mount) {
	if m.Type == spec.Tmpfs {
		w.place(w.tmpfs(m), m.Target, w.target(m.Target, asDirectory))
		return
	}
	mnt := w.source(m)
	if m.ReadOnly {
		w.attributes(mnt, m.Target, attrReadOnly)
	}
	kind := asDirectory
	if m.File {
		kind = asFile
	}
	w.place(mnt, m.Target, w.target(m.Target, kind))
}

// tmpfs makes a tmpfs with Docker's defaults (nosuid, nodev, noexec) and the options of --tmpfs and --mount.
func (w *writer) tmpfs(m *spec.Mount) spawn.Addr {
	attr := uintptr(attrNoSUID | attrNoDev | attrNoExec)
	set := []setting{}
	for _, o := range m.Options {
		switch key, value, _ := strings.Cut(o, "="); key {
		case "exec":
			attr &^= attrNoExec
		case "suid":
			attr &^= attrNoSUID
		case "dev":
			attr &^= attrNoDev
		case "ro":
			attr |= attrReadOnly
		case "rw", "nosuid", "nodev", "noexec":
		default:
			set = append(set, setting{key, value})
		}
	}
	if m.ReadOnly {
		attr |= attrReadOnly
	}
	return w.detached("tmpfs on "+m.Target, "tmpfs", attr, set)
}
