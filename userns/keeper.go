package userns

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A Namespace is a user's user namespace, held by a live process.
type Namespace struct {
	Identity
	keeper Process
	pidfd  int
	use    int
}

// FD is a descriptor of the process that holds the namespace: setns(2) takes it for the user namespace and for the empty
// mount namespace.
func (n *Namespace) FD() int { return n.pidfd }

// PID is the process that holds the namespace.
func (n *Namespace) PID() int { return n.keeper.PID }

// Use is a descriptor of a file whose shared lock keeps the keeper alive. Who is to outlive this process, and needs the
// namespace to be found, inherits it.
func (n *Namespace) Use() int { return n.use }

// Alive tells whether the process that holds the namespace is still there.
func (n *Namespace) Alive() bool {
	ready, err := sys.Poll([]sys.PollFd{{Fd: int32(n.pidfd), Events: sys.PollIn}}, 0)
	return err == nil && ready == 0
}

// Close gives the descriptors back. A keeper that nobody uses ends after a second.
func (n *Namespace) Close() {
	syscall.Close(n.pidfd)
	syscall.Close(n.use)
}

// usersFile is the file whose lock says that the namespace is in use: shared by all users, exclusive by a keeper that is
// about to end.
const usersFile = "users"

// takeUse takes the shared lock; an error while a keeper is ending.
func takeUse(runDir string) (int, error) {
	path := filepath.Join(runDir, usersFile)
	fd, err := syscall.Open(path, syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if errors.Is(err, syscall.EROFS) { // a place that became read-only; a shared lock needs no more than reading
		fd, err = syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	}
	if err != nil {
		return -1, fmt.Errorf("opening %q: %w", usersFile, err)
	}
	if err := sys.ShareOFD(fd); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// record is the content of keeper.json: a cache; what it names is checked at each use.
type record struct {
	V        int      `json:"v"`
	Keeper   Process  `json:"keeper"`
	Identity Identity `json:"identity"`
}

const keeperFile = "keeper.json"

// Find returns the namespace that is there, or fs.ErrNotExist. It costs two small reads.
func Find(runDir string) (*Namespace, error) {
	b, err := os.ReadFile(filepath.Join(runDir, keeperFile))
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil || r.V != 1 {
		return nil, os.ErrNotExist // a cache that cannot be read is no cache
	}
	if r.Identity.UID != os.Geteuid() {
		return nil, os.ErrNotExist
	}
	use, err := takeUse(runDir) // from here on the keeper stays, if it is there
	if err != nil {
		return nil, os.ErrNotExist
	}
	fd, err := r.Keeper.Open()
	if err != nil || !r.Keeper.Alive() {
		syscall.Close(use)
		if err == nil {
			syscall.Close(fd)
		}
		return nil, os.ErrNotExist
	}
	return &Namespace{Identity: r.Identity, keeper: r.Keeper, pidfd: fd, use: use}, nil
}

// A Survivor is a process that may still live in an earlier namespace, or (Nested) in one of its own below that.
type Survivor struct {
	Process
	Nested bool
}

// namespace returns a descriptor that setns(2) takes for the namespace in which s lives.
func (s Survivor) namespace() (int, error) {
	fd, err := s.Open()
	if err != nil || !s.Nested {
		return fd, err
	}
	defer syscall.Close(fd)
	own, err := os.Open("/proc/" + strconv.Itoa(s.PID) + "/ns/user")
	if err != nil {
		return -1, err
	}
	defer own.Close()
	if !s.Alive() { // the path may have been another process's
		return -1, os.ErrProcessDone
	}
	return sys.ParentNamespace(int(own.Fd()))
}

// Ensure returns the user's namespace and makes it where there is none. Others are processes that may still live in an
// earlier one (of containers): if one does, its namespace is entered again rather than a second one made, since networks and
// joins belong to the first.
func Ensure(runDir string, others func() []Survivor) (*Namespace, error) {
	if n, err := Find(runDir); err == nil {
		return n, nil
	}
	lock, err := os.OpenFile(filepath.Join(runDir, "keeper.lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the keeper's file: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("locking the keeper's file: %w", err)
	}
	if n, err := Find(runDir); err == nil {
		return n, nil
	}
	use, err := awaitUse(runDir)
	if err != nil {
		return nil, err
	}
	n, err := start(runDir, others)
	if err != nil {
		syscall.Close(use)
		return nil, err
	}
	n.use = use
	return n, nil
}

// awaitUse is takeUse that waits until an old keeper has ended.
func awaitUse(runDir string) (fd int, err error) {
	for range 2000 {
		if fd, err = takeUse(runDir); err == nil {
			return fd, nil
		}
		time.Sleep(time.Millisecond)
	}
	return -1, fmt.Errorf("waiting for the end of an old keeper: %w", err)
}

// start starts a keeper.
func start(runDir string, others func() []Survivor) (*Namespace, error) {
	id, err := Identify()
	if err != nil {
		return nil, err
	}
	pid, err := revive(runDir, others)
	if pid == 0 && err == nil {
		pid, err = create(runDir, &id)
	}
	if err != nil {
		return nil, err
	}
	return publish(runDir, id, pid)
}

// publish writes keeper.json and opens the keeper.
func publish(runDir string, id Identity, pid int) (*Namespace, error) {
	p, err := Observe(pid)
	if err != nil {
		return nil, fmt.Errorf("starting the keeper: %w", err)
	}
	if id.Map, err = mapOf(pid); err != nil {
		return nil, err
	}
	b, err := json.Marshal(record{V: 1, Keeper: p, Identity: id})
	if err != nil {
		return nil, err
	}
	tmp := filepath.Join(runDir, keeperFile+".new")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("recording the keeper: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(runDir, keeperFile)); err != nil {
		return nil, fmt.Errorf("recording the keeper: %w", err)
	}
	fd, err := p.Open()
	if err != nil {
		return nil, fmt.Errorf("starting the keeper: %w", err)
	}
	return &Namespace{Identity: id, keeper: p, pidfd: fd}, nil
}

// mapOf reads the map of another process's namespace.
func mapOf(pid int) (m Map, err error) {
	for f, ext := range map[string]*[]Extent{"uid_map": &m.UID, "gid_map": &m.GID} {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + f)
		if err != nil {
			return m, fmt.Errorf("reading the keeper's id map: %w", err)
		}
		if *ext, err = parseMap(string(b)); err != nil {
			return m, err
		}
	}
	return m, nil
}

// keeperFiles are the keeper's descriptors while it starts.
const (
	keeperReport = 3
	keeperGo     = 4
	keeperOld    = 5
	keeperUsers  = 6
)

// keeperList is the keeper: it makes its namespaces (or joins an old one's), waits until its map is written, leaves the
// host's mounts for an empty root that nobody else sees, and pauses for ever. It stays dumpable: newuidmap(1) looks who
// owns /proc/PID.
func keeperList(join bool, runDir string) *spawn.List {
	l := spawn.New()
	l.Name("moss-keeper")
	l.Call("closing descriptors", sys.SYS_CLOSE_RANGE, 0, 2, 0)
	if join {
		l.Call("joining the user namespace", sys.SYS_SETNS, keeperOld, sys.NewUser)
		l.Call("making a mount namespace", syscall.SYS_UNSHARE, sys.NewNS)
	} else {
		l.Call("making a user namespace", syscall.SYS_UNSHARE, sys.NewUser|sys.NewNS)
	}
	l.Call("staying readable", syscall.SYS_PRCTL, 4, 1, 0, 0, 0)
	l.Tell("telling that the namespace is there", keeperReport)
	buf := uintptr(l.Words(0))
	l.Call("waiting for the map", syscall.SYS_READ, keeperGo, buf, 1)
	l.Try("leaving root's groups", syscall.SYS_SETGROUPS, 0, 0) // where it is allowed: the keeper reads nobody's files
	l.Call("becoming the namespace's root group", syscall.SYS_SETRESGID, 0, 0, 0)
	l.Call("becoming the namespace's root", syscall.SYS_SETRESUID, 0, 0, 0)
	l.Call("staying readable", syscall.SYS_PRCTL, 4, 1, 0, 0, 0)
	root, dot, tmpfs := l.Str(runDir), l.Str("."), l.Str("tmpfs")
	l.Call("making mounts private", syscall.SYS_MOUNT, 0, l.Str("/"), 0, syscall.MS_REC|syscall.MS_PRIVATE, 0)
	l.Call("mounting an empty root", syscall.SYS_MOUNT, tmpfs, root, tmpfs, syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, l.Str("size=4k,mode=555"))
	l.Call("entering the empty root", syscall.SYS_CHDIR, root)
	l.Call("changing the root", syscall.SYS_PIVOT_ROOT, dot, dot)
	l.Call("leaving the old root", syscall.SYS_UMOUNT2, dot, syscall.MNT_DETACH)
	l.Call("closing descriptors", sys.SYS_CLOSE_RANGE, 0, keeperUsers-1, 0)
	l.Call("closing descriptors", sys.SYS_CLOSE_RANGE, keeperUsers+1, 1<<32-1, 0)
	keepUntilUnused(l)
	return l
}

// keepUntilUnused is the keeper's life: it waits, without a timer, until nobody holds the users' lock; lets it go again and
// gives the next user a second; and ends holding it, so that whoever comes at that moment knows.
func keepUntilUnused(l *spawn.List) {
	second := uintptr(l.Words(1, 0)) // struct timespec; the kernel writes the rest back only where it is interrupted
	exclusive, unlock := uintptr(l.Bytes(sys.LockWhole(sys.WriteLock))), uintptr(l.Bytes(sys.LockWhole(sys.Unlock)))
	idle := l.Try("waiting until nobody is inside", syscall.SYS_FCNTL, keeperUsers, sys.SetLockWait, exclusive)
	l.Try("letting others in", syscall.SYS_FCNTL, keeperUsers, sys.SetLock, unlock)
	l.Try("waiting for the next", sys.SYS_PPOLL, 0, 0, second, 0, 8)
	last := l.Call("looking once more", syscall.SYS_FCNTL, keeperUsers, sys.SetLock, exclusive)
	l.OnError(last, idle)
	l.Call("ending", syscall.SYS_EXIT_GROUP, 0)
}

// create starts a keeper with a new namespace and writes its map. If the helpers refuse, the own id alone is mapped.
func create(runDir string, id *Identity) (int, error) {
	pid, err := startKeeper(keeperList(false, runDir), runDir, -1, func(pid int) error { return writeMap(pid, id) })
	var refused *helperError
	if errors.As(err, &refused) && id.Means == Helpers {
		id.own(refused.Error())
		pid, err = startKeeper(keeperList(false, runDir), runDir, -1, func(pid int) error { return writeMap(pid, id) })
	}
	if err != nil {
		return 0, forbidden(err)
	}
	return pid, nil
}

// revive starts a keeper inside the namespace of a process that still lives in an old one; 0 if there is none.
func revive(runDir string, others func() []Survivor) (int, error) {
	if others == nil {
		return 0, nil
	}
	for _, s := range others() {
		fd, err := s.namespace()
		if err != nil {
			continue
		}
		pid, err := startKeeper(keeperList(true, runDir), runDir, fd, func(int) error { return nil })
		syscall.Close(fd)
		if err == nil {
			return pid, nil
		}
	}
	return 0, nil
}

// startKeeper runs the list; mapped is called once its namespace exists.
func startKeeper(l *spawn.List, runDir string, old int, mapped func(pid int) error) (int, error) {
	rr, rw, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer rr.Close()
	gr, gw, err := os.Pipe()
	if err != nil {
		rw.Close()
		return 0, err
	}
	defer gw.Close()
	users, err := os.OpenFile(filepath.Join(runDir, usersFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return 0, err
	}
	pid, err := l.Start(spawn.Options{Name: "moss-keeper", Files: []int{-1, -1, -1, int(rw.Fd()), int(gr.Fd()), old, int(users.Fd())}, Report: keeperReport, Setsid: true, TmpDir: runDir})
	users.Close()
	rw.Close()
	gr.Close()
	if err != nil {
		return 0, err
	}
	var inner error
	err = l.Reports(rr, func(uint64) {
		if inner = mapped(pid); inner == nil {
			_, inner = gw.Write([]byte{1})
		}
		gw.Close() // without a byte the read returns 0 and the list goes on: it is killed below
	})
	if err = errors.Join(inner, err); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = spawn.Wait(pid)
		return 0, err
	}
	return pid, nil
}

// writeMap writes the map of the keeper's namespace by the identity's means.
func writeMap(pid int, id *Identity) error {
	proc := "/proc/" + strconv.Itoa(pid) + "/"
	switch id.Means {
	case Helpers:
		return runHelpers(pid, id.Map)
	case OwnID:
		if err := os.WriteFile(proc+"setgroups", []byte("deny"), 0); err != nil {
			return fmt.Errorf("writing setgroups: %w", err)
		}
	case Direct:
	}
	if err := os.WriteFile(proc+"uid_map", []byte(lines(id.Map.UID)), 0); err != nil {
		return fmt.Errorf("writing the user id map: %w", err)
	}
	if err := os.WriteFile(proc+"gid_map", []byte(lines(id.Map.GID)), 0); err != nil {
		return fmt.Errorf("writing the group id map: %w", err)
	}
	return nil
}

// helperError says that newuidmap or newgidmap refused.
type helperError struct{ tool, said string }

func (e *helperError) Error() string { return e.tool + " refused: " + e.said }

// runHelpers runs newuidmap and newgidmap side by side.
func runHelpers(pid int, m Map) error {
	run := func(tool string, ext []Extent) error {
		out, err := exec.Command(tool, append([]string{strconv.Itoa(pid)}, args(ext)...)...).CombinedOutput()
		if err != nil {
			said := strings.TrimSpace(string(out))
			if said == "" {
				said = err.Error()
			}
			return &helperError{tool: tool, said: said}
		}
		return nil
	}
	gid := make(chan error, 1)
	go func() { gid <- run("newgidmap", m.GID) }()
	err := run("newuidmap", m.UID)
	return errors.Join(err, <-gid)
}
