package guest

import (
	"syscall"

	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Descriptors of the list that tries an overlay.
const (
	tryNS = 3
	// TryReport is the number of its report descriptor.
	TryReport = 4
)

// TryOverlay mounts an overlay of the directories l, u and w below dir on mnt, as a birth would, in mounts that end with
// it. Its failure, if any, is the answer; it ends with 0 otherwise.
func TryOverlay(dir, mnt string, realRoot bool) *spawn.List {
	l := spawn.New()
	l.Name("moss-try")
	l.Call("joining the user namespace", sys.SYS_SETNS, tryNS, sys.NewUser)
	if realRoot {
		l.Call("leaving root's groups", syscall.SYS_SETGROUPS, 0, 0)
		l.Call("leaving root's group", syscall.SYS_SETRESGID, 0, 0, 0)
		l.Call("leaving root", syscall.SYS_SETRESUID, 0, 0, 0)
	}
	l.Call("making a mount namespace", syscall.SYS_UNSHARE, sys.NewNS)
	l.Call("making mounts private", syscall.SYS_MOUNT, 0, l.Str("/"), 0, syscall.MS_REC|syscall.MS_PRIVATE, 0)
	l.Call("entering the directory", syscall.SYS_CHDIR, l.Str(dir))
	o := l.Str("overlay")
	l.Call("mounting overlay", syscall.SYS_MOUNT, o, l.Str(mnt), o, syscall.MS_NODEV, l.Str("userxattr,lowerdir=l,upperdir=u,workdir=w"))
	l.Call("ending", syscall.SYS_EXIT_GROUP, 0)
	return l
}
