package guest

import (
	"syscall"

	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A container that shares another one's namespaces (--pid, --ipc, --network container:X) is born in X's user namespace, to
// which they belong. The maker itself must not go there: as the holder it has to come back to the keeper's mounts. So a
// third process, the go-between, joins X and clones the guest as the maker's child:
//
//	maker ── clone ──> go-between: unreadable; setns to X; clone(CLONE_PARENT) ──> guest
//	  │ <── pid ──────────┘ (pipe of the map, which is X's and need not be written)
//
// Must: the go-between has memory of its own (an unreadable one would make the holder unreadable too) and is unreadable
// before it joins, since processes of X could look into it. It executes nothing. The guest is unreadable until it has given
// up its rights, for the same reason; so its network namespace, which the switch must have before, cannot be found through
// /proc/PID/ns: the go-between makes it and leaves a descriptor of it with the maker, whose descriptors it shares.

// shared are the namespaces of another container that this one uses.
func shared(h *spec.Host) (ns uint64) {
	for _, x := range []struct {
		share spec.Share
		flag  uint64
	}{{h.PID, sys.NewPID}, {h.IPC, sys.NewIPC}, {spec.Share(h.Network), sys.NewNet}} {
		if x.share.Of() != "" {
			ns |= x.flag
		}
	}
	return ns
}

// joins tells whether the guest is born in another container's user namespace.
func (w *writer) joins() bool { return shared(&w.s.Host) != 0 }

// goBetween has the guest cloned by a process that joins the other container.
func (w *writer) goBetween(pid spawn.Addr) {
	between := w.beginBetween()
	w.clone(pid)
	w.introduce(between, pid)
	w.closeGuestEnd()
	w.Call("telling the pid", syscall.SYS_WRITE, fdReport, uintptr(pid), 16)
}

// beginBetween begins the go-between; the calls that follow are its own, up to introduce.
func (w *writer) beginBetween() spawn.Op {
	args := w.Words(cloneVfork|cloneFiles, 0, 0, 0, uint64(syscall.SIGCHLD), 0, 0, 0, 0, 0, 0)
	c := w.Call("making a process that joins the other container", sys.SYS_CLONE3, uintptr(args), 88)
	w.Call("becoming unreadable", syscall.SYS_PRCTL, prSetDumpable, 0, 0, 0, 0)
	w.Call("joining the other container", sys.SYS_SETNS, fdJoin, uintptr(sys.NewUser|shared(&w.s.Host)))
	if w.b.Wait {
		w.Call("making a network namespace", syscall.SYS_UNSHARE, sys.NewNet)
		net := w.open("opening the network namespace", "/proc/self/ns/net", syscall.O_RDONLY)
		w.CallWith(net, 0, "leaving the network namespace with the maker", sys.SYS_DUP3, 0, MakerNet, syscall.O_CLOEXEC)
		w.CallWith(net, 0, "closing the network namespace", syscall.SYS_CLOSE, 0)
	}
	return c
}

// introduce ends the go-between, and the maker learns the guest's pid from it.
func (w *writer) introduce(between spawn.Op, pid spawn.Addr) {
	w.Call("introducing the container's process", syscall.SYS_WRITE, fdMapW, uintptr(pid), 8)
	w.Call("ending", syscall.SYS_EXIT_GROUP, 0)
	w.IfNotZero(between, w.Next())
	who := w.Words(0)
	w.Save(between, who)
	w.Call("closing the go-between's end", syscall.SYS_CLOSE, fdMapW)
	w.CallWith(who, 0, "waiting for the go-between", syscall.SYS_WAIT4, 0, 0, 0, 0)
	learn := w.Call("learning the container's process", syscall.SYS_READ, fdMapR, uintptr(pid), 8)
	w.Call("ending", syscall.SYS_EXIT_GROUP, 127) // the go-between has said why
	w.IfNotZero(learn, w.Next())
}

// borrowShm takes the other container's /dev/shm, which goes with its ipc namespace, as a detached mount: a process that
// shares the maker's descriptors looks at it from inside.
func (w *writer) borrowShm() {
	if w.s.Host.IPC.Of() == "" {
		return
	}
	args := w.Words(cloneVfork|cloneFiles, 0, 0, 0, uint64(syscall.SIGCHLD), 0, 0, 0, 0, 0, 0)
	c := w.Call("making a process that looks into the other container", sys.SYS_CLONE3, uintptr(args), 88)
	w.Call("becoming unreadable", syscall.SYS_PRCTL, prSetDumpable, 0, 0, 0, 0)
	w.Call("looking into the other container", sys.SYS_SETNS, fdJoin, uintptr(sys.NewUser|sys.NewNS))
	mnt := w.cloneTree("/dev/shm", 0)
	w.CallWith(mnt, 0, "keeping its /dev/shm", sys.SYS_DUP3, 0, fdShm, syscall.O_CLOEXEC)
	w.CallWith(mnt, 0, "closing its /dev/shm", syscall.SYS_CLOSE, 0)
	w.Call("ending", syscall.SYS_EXIT_GROUP, 0)
	w.IfNotZero(c, w.Next())
	who := w.Words(0)
	w.Save(c, who)
	w.CallWith(who, 0, "waiting for the look", syscall.SYS_WAIT4, 0, 0, 0, 0)
}
