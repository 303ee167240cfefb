package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/guest"
	"github.com/moss-sandbox/moss/sandbox/output"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A Guest is a running container as its server holds it.
type Guest struct {
	env    *Env
	snap   *sandbox.Snapshot
	served *os.File
	pidfd  int // of the first process
	holder int // pid, a child of this process if it was born here
	born   bool

	stdinMu sync.Mutex
	stdin   *os.File // write end, nil without input or after it was closed or given away
	stdout  *os.File // read ends
	stderr  *os.File
	master  *os.File // instead of the three with a terminal
	log     *output.Writer
	mounts  string // its mount namespace, where that is needed to find its processes: see leftover.go
}

// Birth has the container born. Served is the right to serve it, which the guest keeps. Size is the first size of the
// terminal, if it has one. An error of the command itself (not found, not executable) is a *CommandError.
func (e *Env) Birth(ctx context.Context, c *sandbox.Snapshot, served *os.File, size [4]uint16) (*Guest, error) {
	b := &birth{env: e, c: c, files: guest.NoFiles()}
	g := &Guest{env: e, snap: c, served: served, born: true, log: newLog(c)}
	before := c.State
	err := b.run(ctx, g, size)
	b.closeAll()
	g.noteNamespace(true)
	if err != nil {
		g.closeFiles()
		c.State = before // it has never run
		return nil, err
	}
	return g, nil
}

// birth is the work of one birth: what it opened is closed at its end.
type birth struct {
	env    *Env
	c      *sandbox.Snapshot
	files  guest.Files
	open   []int
	report int
	goW    int
	ttyR   int
}

func (b *birth) closeAll() {
	for _, fd := range b.open {
		syscall.Close(fd)
	}
}

// keep remembers a descriptor to be closed at the end.
func (b *birth) keep(fd int) int {
	b.open = append(b.open, fd)
	return fd
}

func (b *birth) pipe() (r, w int, err error) {
	if r, w, err = sys.Pipe(); err == nil {
		b.keep(r)
		b.keep(w)
	}
	return r, w, err
}

// run makes the descriptors, starts the list and follows its reports.
func (b *birth) run(ctx context.Context, g *Guest, size [4]uint16) (err error) {
	if err := b.descriptors(g); err != nil {
		return err
	}
	place := Placement{CgroupFD: -1}
	if b.env.Group != nil {
		if place, err = b.env.Group.Prepare(ctx, b.c); err != nil {
			return err
		}
		for _, fd := range []int{place.CgroupFD, place.HolderFD} {
			if fd > 0 {
				b.keep(fd)
			}
		}
	}
	defer func() {
		if err != nil && b.env.Group != nil {
			_ = b.env.Group.Release(context.WithoutCancel(ctx), b.c)
		}
	}()
	b.files.Cgroup = place.CgroupFD
	plan, err := b.env.plan(b.c, place)
	if err != nil {
		return err
	}
	plan.Winsize = size
	l := plan.List()
	pid, err := l.Start(spawn.Options{Name: "moss-holder", Files: b.files.Order(), Report: guest.Report, Setsid: true, TmpDir: b.env.Dirs.Run, ExtraFD: max(place.HolderFD, 0)})
	if err != nil {
		return err
	}
	g.holder = pid
	if err := b.follow(ctx, g, l); err != nil {
		b.undo(ctx, g)
		return b.explain(err)
	}
	return nil
}

// descriptors makes everything that the list is started with.
func (b *birth) descriptors(g *Guest) error {
	if err := raiseFiles(); err != nil {
		return err
	}
	if err := b.lockAlive(); err != nil {
		return err
	}
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening /dev/null: %w", err)
	}
	b.files.Null, b.files.NS, b.files.Use = b.keep(null), b.env.Namespace.FD(), b.env.Namespace.Use()
	var reportW int
	if b.report, reportW, err = b.pipe(); err != nil {
		return err
	}
	b.files.Report = reportW
	if b.files.MapR, b.files.MapW, err = b.pipe(); err != nil {
		return err
	}
	if b.files.ExecR, b.files.ExecW, err = b.pipe(); err != nil {
		return err
	}
	if err := b.joined(); err != nil {
		return err
	}
	if b.waits() {
		if b.files.Go, b.goW, err = b.pipe(); err != nil {
			return err
		}
	}
	return b.stdio(g)
}

// lockAlive makes the lock file and takes the lock that the holder inherits.
func (b *birth) lockAlive() error {
	alive, err := b.c.OpenAlive()
	if err != nil {
		return err
	}
	fd, err := sys.DupAbove(int(alive.Fd()), 3) // one owner: a number that is closed twice may be somebody else's by then
	if err != nil {
		return errors.Join(err, alive.Close())
	}
	b.files.Alive = b.keep(fd)
	if err := alive.Close(); err != nil {
		return err
	}
	if sys.LockOFD(b.files.Alive) == nil {
		return nil
	}
	if err := b.c.EndOrphans(b.c.State.Guest); err != nil { // of a start whose server died
		return err
	}
	return sys.LockOFD(b.files.Alive)
}

// waits tells whether the command waits for its network.
func (b *birth) waits() bool {
	return b.env.Network != nil && usesNetwork(b.c.Spec.Host.Network)
}

func usesNetwork(name string) bool {
	return name != "none" && spec.Share(name).Owned()
}

// stdio makes pipes, or the sockets over which the terminal comes.
func (b *birth) stdio(g *Guest) (err error) {
	p := &b.c.Spec.Process
	if p.TTY {
		if b.ttyR, b.files.TTY, err = b.socketpair(); err == nil {
			b.files.TTYIn, b.files.TTYOut, err = b.socketpair()
		}
		return err
	}
	if p.Stdin {
		r, w, err := b.pipe()
		if err != nil {
			return err
		}
		b.files.Stdin = r
		if !p.StdinOnce {
			b.files.HoldIn = w
		}
		if g.stdin, err = b.own(w, "stdin"); err != nil {
			return err
		}
	}
	if g.stdout, b.files.Stdout, b.files.HoldOut, err = b.output("stdout"); err != nil {
		return err
	}
	g.stderr, b.files.Stderr, b.files.HoldErr, err = b.output("stderr")
	return err
}

// output makes a pipe whose write end is open for reading too: when nobody reads, the container waits instead of dying of
// SIGPIPE.
func (b *birth) output(name string) (mine *os.File, write, hold int, err error) {
	r, w, err := b.pipe()
	if err != nil {
		return nil, -1, -1, err
	}
	if write, err = sys.Reopen(w, syscall.O_RDWR); err != nil {
		return nil, -1, -1, err
	}
	b.keep(write)
	for _, fd := range []int{r, w} {
		if err := b.env.giveAway(fd); err != nil {
			return nil, -1, -1, err
		}
	}
	mine, err = b.own(r, name)
	return mine, write, r, err
}

// own duplicates a descriptor for the guest, which outlives the birth.
func (b *birth) own(fd int, name string) (*os.File, error) {
	n, err := sys.DupAbove(fd, 3)
	if err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(n, true); err != nil { // before NewFile, which then waits without a thread
		syscall.Close(n)
		return nil, err
	}
	return os.NewFile(uintptr(n), name), nil
}

// giveAway makes the container's root the owner of a pipe, so that it may open /dev/stdout: for real root, whose pipes
// belong to nobody inside.
func (e *Env) giveAway(fd int) error {
	if e.Dirs.UID == os.Geteuid() {
		return nil
	}
	return syscall.Fchown(fd, e.Dirs.UID, e.Dirs.GID)
}

func (b *birth) socketpair() (int, int, error) {
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("making a socket pair: %w", err)
	}
	return b.keep(p[0]), b.keep(p[1]), nil
}

// follow closes this side's copies and reads the list's reports until the command runs.
func (b *birth) follow(ctx context.Context, g *Guest, l *spawn.List) error {
	for _, fd := range []int{b.files.Report, b.files.MapR, b.files.MapW, b.files.ExecR, b.files.ExecW, b.files.Go, b.files.TTY, b.files.TTYIn, b.files.TTYOut} {
		b.shut(fd)
	}
	var inner error
	told := false
	err := l.Reports(fdReader(b.report), func(pid uint64) {
		told = true
		if inner = b.toldPID(ctx, g, int(pid)); inner != nil {
			b.kill(g) // it would wait for its network for ever
		}
	})
	if err = errors.Join(err, inner); err != nil {
		return err
	}
	if !told || !b.c.State.Holder.Alive() {
		return errors.New("the container's maker was killed")
	}
	if err := b.terminal(g); err != nil || b.env.Group == nil {
		return err
	}
	return b.env.Group.Started(ctx, b.c)
}

// shut closes a descriptor early.
func (b *birth) shut(fd int) {
	if fd < 0 {
		return
	}
	for i, o := range b.open {
		if o == fd {
			syscall.Close(fd)
			b.open = append(b.open[:i], b.open[i+1:]...)
			return
		}
	}
}

// fdReader reads a descriptor without taking it over.
type fdReader int

func (r fdReader) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(r), b)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// toldPID: the first process is there, its map written. The state is recorded before the command can run, so that whoever
// comes after a kill finds it.
func (b *birth) toldPID(ctx context.Context, g *Guest, pid int) (err error) {
	st := &b.c.State
	if g.pidfd, err = sys.PidfdOpen(pid); err != nil {
		return err
	}
	if st.Guest, err = userns.Observe(pid); err != nil {
		return err
	}
	g.noteNamespace(false)
	if st.Holder, err = userns.Observe(g.holder); err != nil {
		return err
	}
	st.Status, st.Started, st.Finished = sandbox.Running, time.Now(), time.Time{}
	st.ExitCode, st.OOMKilled, st.Error = 0, false, ""
	if b.waits() {
		if st.Network, err = b.env.Network.Attach(ctx, b.c, pid); err != nil {
			return err
		}
	}
	if err := b.c.SaveState(*st); err != nil {
		return err
	}
	if b.waits() {
		_, err = syscall.Write(b.goW, []byte{1})
	}
	return err
}

// terminal receives the terminal's master.
func (b *birth) terminal(g *Guest) (err error) {
	if !b.c.Spec.Process.TTY {
		return nil
	}
	g.master, err = receiveMaster(b.ttyR)
	return err
}

// receiveMaster takes a descriptor from a socket and makes sure that it is a pseudo terminal's master: a container's root
// owns the mounts of the place where it was opened.
func receiveMaster(socket int) (*os.File, error) {
	buf, oob := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := syscall.Recvmsg(socket, buf, oob, syscall.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receiving the terminal: %w", err)
	}
	msgs, err := syscall.ParseSocketControlMessage(oob[:n])
	if err != nil || len(msgs) != 1 {
		return nil, fmt.Errorf("receiving the terminal: %d messages, %w", len(msgs), errors.Join(err, syscall.EPROTO))
	}
	fds, err := syscall.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("receiving the terminal: %w", errors.Join(err, syscall.EPROTO))
	}
	return checkMaster(fds[0])
}

// checkMaster makes a file of a terminal's master, which the caller gives away.
func checkMaster(fd int) (*os.File, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	major, minor := sys.Device(st.Rdev)
	if st.Mode&syscall.S_IFMT != syscall.S_IFCHR || major != 5 || minor != 2 || !sys.IsTerminal(fd) {
		syscall.Close(fd)
		return nil, fmt.Errorf("what the container gave is no terminal (mode %o, device %d:%d)", st.Mode, major, minor)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "terminal"), nil
}

// undo ends a birth that failed: both processes are killed and awaited, nothing stays.
func (b *birth) undo(ctx context.Context, g *Guest) {
	b.kill(g)
	_, _ = spawn.Wait(g.holder)
	if b.waits() {
		_ = b.env.Network.Release(ctx, b.c)
	}
}

// kill ends both processes; the holder stays a zombie until it is awaited.
func (b *birth) kill(g *Guest) {
	if g.pidfd > 0 {
		_ = sys.PidfdSignal(g.pidfd, syscall.SIGKILL)
	}
	_ = syscall.Kill(g.holder, syscall.SIGKILL)
}
