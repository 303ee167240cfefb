package guest

import (
	"syscall"

	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// between has the guest made by a process between it and the maker, in a user namespace that exists for this container
// alone, and limits the number of processes there. The kernel counts processes by user and namespace, and a namespace's
// limit is what its maker had (set_userns_rlimit_max, Linux 5.14): so one that is set in the user's namespace bounds all
// containers together, and one that is set inside bounds each id by itself. Set in the namespace between it bounds all ids
// of this container. Nobody inside can raise it.
//
// The maker cannot go there itself: it has to keep the user's mounts. The process between is the guest's maker and writes
// its map, which only the namespace of the guest or its parent may do, but the guest is the maker's child (CLONE_PARENT).
// Then it ends: it counts too.
func (w *writer) between(pid spawn.Addr) {
	mid := w.Words(0)
	args := w.Words(sys.NewUser|spawn.ShareMemory|parentSetTID, 0, 0, uint64(mid), uint64(syscall.SIGCHLD), 0, 0, 0, 0, 0, 0)
	middle := w.Call("making a user namespace to count processes in", sys.SYS_CLONE3, uintptr(args), 88)
	w.Call("dying with the maker", syscall.SYS_PRCTL, prSetPDeathSig, uintptr(syscall.SIGKILL), 0, 0, 0)
	w.Call("waiting for the id map between", syscall.SYS_READ, fdMapR, uintptr(w.Words(0)), 1)
	n := uint64(max(w.b.Nproc, 2)) // itself and the guest
	w.Call("limiting the number of processes", sys.SYS_PRLIMIT64, 0, rlimitNproc, uintptr(w.Words(n, n)), 0)
	w.clone(pid)
	w.welcome(pid)
	w.Call("ending", syscall.SYS_EXIT_GROUP, 0)
	w.IfNotZero(middle, w.Next())
	w.closeGuestEnd()
	w.writeMaps("the process between", mid, w.b.BetweenUIDMap, w.b.BetweenGIDMap)
	w.Call("telling that the map between is there", syscall.SYS_WRITE, fdMapW, w.mnt, 1)
	w.CallWith(mid, 0, "waiting for the process between", syscall.SYS_WAIT4, 0, 0, 0, 0)
}
