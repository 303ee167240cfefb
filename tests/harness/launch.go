package harness

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Method L: the client is killed at its N-th system call. ptrace is not used, because it would change who may run newuidmap.
//
//	test process                          launcher (this test binary again, still root)
//	─────────────────────────────────────────────────────────────────────────────────────
//	starts it, one socket as fd 3
//	                                      installs a filter: every call notifies, but sendmsg on fd 1000
//	                                      sends the filter's listener (sendmsg on fd 1000)
//	answers every notification "go on"    becomes the account, executes moss
//	counts those of moss's own threads;
//	at the N-th: SIGKILL, no answer
//	goes on answering for what moss left
//	(keeper, holder, container: they
//	inherited the filter) until the
//	listener hangs up
//
// The filter is installed as root, so that no_new_privs stays off and newuidmap keeps its rights.

const (
	stageVariable = "MOSS_HARNESS_STAGE" // private: set by the harness for its own re-execution
	specVariable  = "MOSS_HARNESS_SPEC"
	launchStage   = "launch"
	listenerFD    = 1000
)

// launchSpec is what the launcher executes, and as whom.
type launchSpec struct {
	Path     string
	Args     []string
	Env      []string
	UID, GID int
	Groups   []int
}

// Crash is what happened to a client that was to be killed at a system call.
type Crash struct {
	Result
	Calls  int  // system calls the client made, until its end or its death
	Killed bool // false: it ended before its N-th call
}

// CrashAt runs a program ("moss", "docker") and kills it, not its children, at its n-th system call. With n = 0 it only
// counts. It needs root.
func (l *Login) CrashAt(n int, name string, args ...string) Crash {
	l.t.Helper()
	RequireRoot(l.t)
	cmd := l.launcher(name, args)
	ours, theirs := socketPair(l)
	cmd.ExtraFiles = []*os.File{theirs}
	watch := &watcher{login: l, killAt: int64(n)}
	go watch.serve(ours)
	result := l.Do(cmd)
	_ = theirs.Close()
	return Crash{Result: result, Calls: int(watch.calls.Load()), Killed: watch.killed.Load()}
}

// launcher is this test binary as the launch stage of the program.
func (l *Login) launcher(name string, args []string) *exec.Cmd {
	moss := l.Command(name, args...)
	spec, err := json.Marshal(launchSpec{moss.Path, moss.Args, moss.Env, l.UID, l.GID, l.Groups})
	if err != nil {
		l.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Dir = l.Work
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Nothing of Go's runtime may make a call on the filtered thread before the listener is on its way.
	cmd.Env = []string{stageVariable + "=" + launchStage, specVariable + "=" + string(spec), "GODEBUG=asyncpreemptoff=1", "GOGC=off"}
	return cmd
}

func socketPair(l *Login) (ours, theirs *os.File) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	ours, theirs = os.NewFile(uintptr(fds[0]), "launcher"), os.NewFile(uintptr(fds[1]), "watcher")
	l.t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	return ours, theirs
}

// launch is the launcher's main. It returns an exit code only when it could not execute moss.
func launch() int {
	var spec launchSpec
	if err := json.Unmarshal([]byte(os.Getenv(specVariable)), &spec); err != nil {
		fmt.Fprintln(os.Stderr, "launcher:", err)
		return 99
	}
	// The filter and the ids are this thread's; execve makes it the whole process.
	runtime.LockOSThread()
	if errno := spec.filterAndExecute(); errno != 0 {
		return 98 // silent: this thread's calls notify a listener that may not be there
	}
	return 0
}

// filterAndExecute uses raw calls only: the syscall package would set ids on all threads.
func (spec launchSpec) filterAndExecute() syscall.Errno {
	path, _ := syscall.BytePtrFromString(spec.Path)
	argv, _ := syscall.SlicePtrFromStrings(spec.Args)
	envv, _ := syscall.SlicePtrFromStrings(spec.Env)
	groups := make([]uint32, len(spec.Groups)+1)
	for i, g := range spec.Groups {
		groups[i] = uint32(g)
	}
	if err := syscall.Dup3(3, listenerFD, syscall.O_CLOEXEC); err != nil {
		return syscall.EBADF
	}
	_ = syscall.Close(3)
	rights := syscall.UnixRights(0)
	message := syscall.Msghdr{Control: &rights[0], Controllen: uint64(len(rights))}
	one := [1]byte{}
	iov := syscall.Iovec{Base: &one[0], Len: 1}
	message.Iov, message.Iovlen = &iov, 1

	listener, errno := notifyEverything()
	if errno != 0 {
		return errno
	}
	*(*int32)(unsafe.Pointer(&rights[syscall.CmsgLen(0)])) = int32(listener)
	calls := [][4]uintptr{
		{syscall.SYS_SENDMSG, listenerFD, uintptr(unsafe.Pointer(&message)), 0},
		{syscall.SYS_CLOSE, listener},
		{syscall.SYS_SETGROUPS, uintptr(len(spec.Groups)), uintptr(unsafe.Pointer(&groups[0]))},
		{syscall.SYS_SETRESGID, uintptr(spec.GID), uintptr(spec.GID), uintptr(spec.GID)},
		{syscall.SYS_SETRESUID, uintptr(spec.UID), uintptr(spec.UID), uintptr(spec.UID)},
		{syscall.SYS_EXECVE, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0]))},
	}
	for _, c := range calls {
		if _, _, errno := syscall.RawSyscall(c[0], c[1], c[2], c[3]); errno != 0 {
			return errno
		}
	}
	return 0
}

// notifyEverything installs the filter on this thread and returns its listener.
func notifyEverything() (uintptr, syscall.Errno) {
	const (
		setModeFilter = 1
		newListener   = 1 << 3
		load, jump    = 0x20, 0x15
		ret           = 0x06
		notify, allow = 0x7fc00000, 0x7fff0000
		offNr, offArg = 0, 16
		sysSeccomp    = 317
	)
	program := []syscall.SockFilter{
		{Code: load, K: offNr},
		{Code: jump, K: syscall.SYS_SENDMSG, Jf: 3},
		{Code: load, K: offArg},
		{Code: jump, K: listenerFD, Jf: 1},
		{Code: ret, K: allow},
		{Code: ret, K: notify},
	}
	prog := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := syscall.RawSyscall(sysSeccomp, setModeFilter, newListener, uintptr(unsafe.Pointer(&prog)))
	return fd, errno
}

// watcher answers the notifications of one launch.
type watcher struct {
	login  *Login
	killAt int64
	calls  atomic.Int64
	killed atomic.Bool
}

// notification and answer are the kernel's struct seccomp_notif and seccomp_notif_resp (seccomp_unotify(2), Linux 5.0).
type notification struct {
	id    uint64
	tid   uint32
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

type answer struct {
	id    uint64
	value int64
	error int32
	flags uint32
}

const (
	ioctlReceive = 0xc0502100
	ioctlSend    = 0xc0182101
	ioctlFlags   = 0x40082104
	syncWakeUp   = 1
	goOn         = 1
)

// serve receives the listener and answers until every process under the filter is gone.
func (w *watcher) serve(socket *os.File) {
	fd, err := receiveFD(socket)
	if err != nil {
		return // the launcher failed; its exit code tells
	}
	defer func() { _ = syscall.Close(fd) }()
	_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), ioctlFlags, syncWakeUp) // Linux 6.6; only quicker
	client, inMoss := 0, false                                                        // the client's pid: that of the first who calls, the launcher
	for awaitNotification(fd) {
		var n notification
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), ioctlReceive, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // the caller was killed meanwhile
		}
		if client == 0 {
			client = threadGroup(n.tid)
		}
		if inMoss && w.counts(client, n.tid) {
			continue
		}
		inMoss = inMoss || n.nr == syscall.SYS_EXECVE
		a := answer{id: n.id, flags: goOn}
		_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), ioctlSend, uintptr(unsafe.Pointer(&a)))
	}
}

// threadGroup is the process of a thread.
func threadGroup(tid uint32) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	_, rest, _ := strings.Cut(string(b), "\nTgid:\t")
	pid, _ := strconv.Atoi(strings.SplitN(rest, "\n", 2)[0])
	return pid
}

// counts counts a call of the client's threads and says whether the client was killed at it.
func (w *watcher) counts(client int, tid uint32) bool {
	if w.killed.Load() {
		return false
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", client, tid)); err != nil {
		return false // a child's
	}
	if w.calls.Add(1) != w.killAt {
		return false
	}
	w.killed.Store(true)
	return syscall.Kill(client, syscall.SIGKILL) == nil
}

// awaitNotification waits for the next one; false means that nobody is left under the filter.
func awaitNotification(fd int) bool {
	const pollIn, pollHangUp = 1, 0x10
	p := struct {
		fd              int32
		events, revents int16
	}{fd: int32(fd), events: pollIn}
	for {
		_, _, errno := syscall.Syscall(syscall.SYS_POLL, uintptr(unsafe.Pointer(&p)), 1, 1000)
		switch {
		case errno != 0 && errno != syscall.EINTR:
			return false
		case p.revents&pollIn != 0:
			return true
		case p.revents&pollHangUp != 0:
			return false
		}
	}
}

func receiveFD(socket *os.File) (int, error) {
	c, err := net.FileConn(socket)
	if err != nil {
		return -1, err
	}
	defer c.Close()
	rights := make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := c.(*net.UnixConn).ReadMsgUnix(make([]byte, 1), rights)
	if err != nil {
		return -1, err
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("the launcher sent %s messages: %w", strconv.Itoa(len(messages)), err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}
