package spawn

import (
	"fmt"
	"os"
	"syscall"

	"github.com/moss-sandbox/moss/userns/spawn/portable"
	"github.com/moss-sandbox/moss/userns/sys"
)

// reexecute starts the list on this binary, executed again: see package portable. It is the way of architectures without
// an interpreter in assembler.
func (l *List) reexecute(o Options) (int, error) {
	exe, err := o.executable()
	if err != nil {
		return 0, err
	}
	defer syscall.Close(exe)
	list, err := sys.MemfdData(o.Name, append(append([]byte{}, l.ops...), l.data...))
	if err != nil {
		return 0, err
	}
	defer list.Close()
	return portable.Start(&portable.Program{
		Name: o.Name, Executable: exe, List: int(list.Fd()), Files: o.Files, Setsid: o.Setsid, Cgroup: o.ExtraFD,
		Layout: portable.Layout{Ops: opsBase, First: opsBase + stateSize, OpsSize: len(l.ops), Data: dataBase, DataSize: len(l.data), Report: o.Report},
	})
}

// executable opens what is executed again: a sealed copy of this binary, so that a container, which can reach the file
// through /proc/PID/exe while the list runs or by an entry point "/proc/self/exe", cannot write into ours (CVE-2019-5736). A
// file that nobody inside can write needs no copy: one that is sealed, or the machine's root's, who is mapped nowhere.
func (o *Options) executable() (int, error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return -1, fmt.Errorf("opening this program: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return -1, fmt.Errorf("opening this program: %w", err)
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid == 0 && st.Mode&0o022 == 0 || sys.Sealed(f) {
		return sys.DupAbove(int(f.Fd()), o.above())
	}
	b := make([]byte, fi.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		return -1, fmt.Errorf("copying this program: %w", err)
	}
	fd, err := sys.MemfdProgram(o.Name, o.TmpDir, []sys.Part{{Data: b}})
	if err != nil {
		return -1, err
	}
	defer syscall.Close(fd)
	return sys.DupAbove(fd, o.above())
}
