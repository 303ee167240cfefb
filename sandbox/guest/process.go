package guest

import (
	"encoding/binary"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A life says what ends a process beside itself.
type life int

const (
	independent   life = iota
	diesWithMaker      // until the last call: PDEATHSIG is taken off before the filter
	alreadyFree        // a child of the guest's, which inherits no PDEATHSIG
)

// process is the last part of every list: a process gives up its rights and executes the command.
type process struct {
	*spec.Process
	filter    []byte
	setGroups bool
	nice      int
	affinity  []byte
	life      life
}

// become writes the calls in the order that the kernel's rules ask for: limits while they may be set; the bounding set
// while SETPCAP is there; groups before the user; then its own set and SYS_ADMIN, which loading a filter without
// no_new_privs needs; the filter; the command. At execve root's set is cut to the bounding set; any other user gets nothing.
func (p *process) become(l *spawn.List) {
	l.Call("marking descriptors", sys.SYS_CLOSE_RANGE, 3, 1<<32-1, sys.CloseRangeCloexec)
	p.ownStdio(l)
	p.resources(l)
	p.bound(l)
	l.Try("making a session keyring", sys.SYS_KEYCTL, keyctlJoinSession, 0)
	p.identity(l)
	if p.life == independent { // a change of ids undoes it where fs.suid_dumpable is 1
		l.Call("staying unreadable", syscall.SYS_PRCTL, prSetDumpable, 0, 0, 0, 0)
	}
	l.Call("setting umask", syscall.SYS_UMASK, 0o022)
	if p.life == diesWithMaker {
		l.Call("living on its own", syscall.SYS_PRCTL, prSetPDeathSig, 0, 0, 0, 0)
	}
	l.Call("unblocking signals", syscall.SYS_RT_SIGPROCMASK, 2, uintptr(l.Words(0)), 0, 8)
	p.loadFilter(l)
	p.execute(l)
}

// ownStdio makes /dev/stdout and the like usable for a user other than root.
func (p *process) ownStdio(l *spawn.List) {
	if p.User.UID == 0 {
		return
	}
	for fd := range uintptr(3) {
		l.Try("owning a standard descriptor", syscall.SYS_FCHOWN, fd, uintptr(p.User.UID), ^uintptr(0))
	}
}

func (p *process) resources(l *spawn.List) {
	for _, r := range p.Rlimits {
		l.Call("setting limit "+r.Name, sys.SYS_PRLIMIT64, 0, uintptr(r.Resource), uintptr(l.Words(r.Soft, r.Hard)), 0)
	}
	if p.nice != 0 {
		l.Try("setting priority", syscall.SYS_SETPRIORITY, 0, 0, uintptr(p.nice))
	}
	if len(p.affinity) > 0 {
		l.Call("setting cpus", syscall.SYS_SCHED_SETAFFINITY, 0, uintptr(len(p.affinity)), uintptr(l.Bytes(p.affinity)))
	}
	if p.OOMScore != 0 {
		s := decimal(int64(p.OOMScore))
		fd := l.Words(0)
		l.Save(l.Call("opening oom_score_adj", syscall.SYS_OPENAT, atFdcwd, l.Str("/proc/self/oom_score_adj"), syscall.O_WRONLY|syscall.O_CLOEXEC, 0), fd)
		l.CallWith(fd, 0, "writing oom_score_adj", syscall.SYS_WRITE, 0, l.Str(s), uintptr(len(s)))
	}
}

// bound drops what is not in the set from the bounding set.
func (p *process) bound(l *spawn.List) {
	for n := uintptr(0); n <= highestCap; n++ {
		if p.Caps>>n&1 != 0 {
			continue
		}
		if n <= knownHighest {
			l.Call("dropping a capability", syscall.SYS_PRCTL, prCapBSetDrop, n, 0, 0, 0)
		} else {
			l.Try("dropping a capability", syscall.SYS_PRCTL, prCapBSetDrop, n, 0, 0, 0)
		}
	}
}

func (p *process) identity(l *spawn.List) {
	u := &p.User
	if p.setGroups {
		b := make([]byte, 4*len(u.Groups))
		for i, g := range u.Groups {
			binary.LittleEndian.PutUint32(b[4*i:], uint32(g))
		}
		l.Call("setting groups", syscall.SYS_SETGROUPS, uintptr(len(u.Groups)), uintptr(l.Bytes(b)))
	}
	// Root gets its set at execve anyway; if it were more than the list has then, the kernel would make the command
	// undumpable, and /proc/1 unreadable inside (commit_creds, kernel/cred.c).
	keep := p.Caps | capSysAdmin
	if p.NoNewPrivs {
		keep = p.Caps
	}
	if u.UID != 0 {
		l.Call("keeping capabilities", syscall.SYS_PRCTL, prSetKeepCaps, 1, 0, 0, 0)
		keep = capSysAdmin
	}
	l.Call("setting the group", syscall.SYS_SETRESGID, uintptr(u.GID), uintptr(u.GID), uintptr(u.GID))
	l.Call("setting the user", syscall.SYS_SETRESUID, uintptr(u.UID), uintptr(u.UID), uintptr(u.UID))
	if p.NoNewPrivs && u.UID != 0 {
		keep = 0
		l.Call("forbidding new privileges", syscall.SYS_PRCTL, prSetNoNewPriv, 1, 0, 0, 0)
	}
	lo, hi := keep&0xffffffff, keep>>32
	l.Call("giving up capabilities", syscall.SYS_CAPSET, uintptr(l.Words(capSetUp)), uintptr(l.Words(lo|lo<<32, hi<<32, hi)))
	if p.NoNewPrivs && u.UID == 0 {
		l.Call("forbidding new privileges", syscall.SYS_PRCTL, prSetNoNewPriv, 1, 0, 0, 0)
	}
}

// loadFilter loads the seccomp program: struct sock_fprog points at it.
func (p *process) loadFilter(l *spawn.List) {
	if len(p.filter) == 0 {
		return
	}
	prog := l.Words(uint64(len(p.filter)/8), uint64(l.Bytes(p.filter)))
	l.Call("loading the seccomp filter", sys.SYS_SECCOMP, seccompSetFilter, 0, uintptr(prog))
}

// execute executes the command, looked for in PATH as runc does: the first place where execve(2) works. Fail is the last
// call, so that its errno is the one reported.
func (p *process) execute(l *spawn.List) {
	argv, env := uintptr(l.Strings(p.Args)), uintptr(l.Strings(p.Env))
	paths := candidates(p.Args[0], p.Env)
	for _, path := range paths[:len(paths)-1] {
		l.Try(ExecCall, syscall.SYS_EXECVE, l.Str(path), argv, env)
	}
	l.Call(ExecCall, syscall.SYS_EXECVE, l.Str(paths[len(paths)-1]), argv, env)
}

// ExecCall is the name of the call that executes the command, in a *spawn.CallError.
const ExecCall = "exec"

// defaultPath is searched when the environment has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// candidates are the files that a command's name may mean.
func candidates(name string, env []string) (out []string) {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	search := defaultPath
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			search = v
		}
	}
	for dir := range strings.SplitSeq(search, ":") {
		if dir == "" {
			dir = "."
		}
		out = append(out, strings.TrimSuffix(dir, "/")+"/"+name)
	}
	return out
}
