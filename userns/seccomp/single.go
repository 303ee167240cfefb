package seccomp

import "fmt"

// SingleID returns the filter for accounts that can map only their own id. Calls that need other ids fail there with EINVAL
// or EPERM and stop every package manager; the filter answers them with success and no effect:
//
//   - chown and its kin: files keep the one owner there is;
//   - setuid, setgid, setgroups and their kin: the process keeps its id;
//   - mknod and mknodat of devices: no file appears. The character device 0:0, overlay's whiteout, is left to the kernel,
//     which allows it everywhere (Linux 5.8).
//
// It allows all else, so load it as Join(SingleID, container's filter), or beside another filter. No call is executed that
// was refused before: an answer takes the call's place. What it cannot give is a process that has really dropped its rights;
// programs that check (apt) notice.
//
// Left out on purpose: capset, which works with one id and then really drops; setfsuid and setfsgid, where the kernel itself
// does nothing for an unmapped id and answers as for success; get*id, so that nothing is claimed that is not so.
//
// It fails with ErrMachine only.
func SingleID(machine Machine) (Filter, error) {
	switch machine {
	case AMD64:
		return Filter(singleX86), nil
	case ARM64:
		return Filter(singleARM), nil
	}
	return nil, fmt.Errorf("single-id filter for %q: %w", machine, ErrMachine)
}
