package supervisor

import (
	"fmt"
	"os"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/guest"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/spawn"
	"github.com/moss-sandbox/moss/userns/sys"
)

// An ExecProcess is a command that joined a container, a child of this process.
type ExecProcess struct {
	PID    int
	Stdin  *os.File // write end, if input was asked for
	Stdout *os.File // read ends
	Stderr *os.File
	Master *os.File // instead of the three with a terminal
}

// Wait waits for the command's end and returns its exit code.
func (p *ExecProcess) Wait() (int, error) {
	ws, err := spawn.Wait(p.PID)
	if err != nil {
		return lost, err
	}
	return sandbox.Code(ws), nil
}

// lost is the exit code of a command whose end nobody saw.
const lost = 255

// An ExecMode says what becomes of a command's input and output.
type ExecMode int

// The modes: pipes or a terminal of the caller's, or nothing at all (exec -d).
const (
	Attached ExecMode = iota
	Detached
)

// Exec has a command join a running container. An error of the command itself is a *CommandError.
func (e *Env) Exec(c *sandbox.Snapshot, p *spec.Process, size [4]uint16, place Placement, mode ExecMode) (*ExecProcess, error) {
	join, err := c.State.Guest.Open()
	if err != nil {
		return nil, fmt.Errorf("container %s is not running", c.ID)
	}
	defer syscall.Close(join)
	if len(place.Rlimits) > 0 {
		limited := *p
		limited.Rlimits = addRlimits(p.Rlimits, place.Rlimits)
		p = &limited
	}
	filter, err := e.filter(p, place)
	if err != nil {
		return nil, err
	}
	x := &guest.Exec{
		Process: *p, Namespaces: joined(&c.Spec.Host), SetGroups: !e.Namespace.Map.Single(), Filter: filter, Winsize: size,
		Affinity: place.Affinity, Nice: place.Nice, Detached: mode == Detached,
	}
	if e.Namespace.Map.Single() {
		u := c.Spec.Process.User
		x.RootUID, x.RootGID = u.UID, u.GID
	}
	b := &birth{env: e, c: c}
	defer b.closeAll()
	return b.exec(x, join, place)
}

// joined are the namespaces that the container has of its own.
func joined(h *spec.Host) uint64 {
	ns := uint64(sys.NewUser | sys.NewNS)
	for _, x := range []struct {
		share spec.Share
		flag  uint64
	}{{h.PID, sys.NewPID}, {h.IPC, sys.NewIPC}, {h.UTS, sys.NewUTS}, {h.Cgroup, sys.NewCgroup}, {spec.Share(h.Network), sys.NewNet}} {
		if x.share != spec.FromHost {
			ns |= x.flag
		}
	}
	return ns
}

func (b *birth) exec(x *guest.Exec, join int, place Placement) (*ExecProcess, error) {
	files := guest.ExecFiles{Null: -1, Join: join, Stdin: -1, Stdout: -1, Stderr: -1, TTY: -1}
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	files.Null = b.keep(null)
	reportR, reportW, err := b.pipe()
	if err != nil {
		return nil, err
	}
	files.Report = reportW
	out := &ExecProcess{}
	if !x.Detached {
		if err := b.execStdio(x, &files, out); err != nil {
			out.close()
			return nil, err
		}
	}
	l := x.List()
	pid, err := l.Start(spawn.Options{Name: "moss-starter", Files: files.Order(), Report: guest.ExecReport, TmpDir: b.env.Dirs.Run, ExtraFD: max(place.CgroupFD, 0)})
	if err != nil {
		out.close()
		return nil, err
	}
	for _, fd := range []int{files.Report, files.Stdin, files.Stdout, files.Stderr, files.TTY} {
		b.shut(fd)
	}
	err = l.Reports(fdReader(reportR), func(v uint64) { out.PID = int(v) })
	_, _ = spawn.Wait(pid)
	if err == nil && out.PID == 0 {
		err = fmt.Errorf("the command's starter was killed")
	}
	if err == nil && x.Process.TTY && !x.Detached {
		out.Master, err = receiveMaster(b.ttyR)
	}
	if err != nil {
		out.close()
		if out.PID != 0 {
			_ = syscall.Kill(out.PID, syscall.SIGKILL)
			_, _ = spawn.Wait(out.PID)
		}
		return nil, execError(err, x.Process.Args[0])
	}
	return out, nil
}

// execError is explain for exec, with the words Docker puts in front.
func execError(err error, name string) error {
	err = explain(err, name)
	if ce, ok := err.(*CommandError); ok { //nolint:errorlint // made one line above
		ce.text = "OCI runtime exec failed: exec failed: " + ce.text
		if ce.Code == 255 {
			ce.Code = 126
		}
	}
	return err
}

func (b *birth) execStdio(x *guest.Exec, files *guest.ExecFiles, out *ExecProcess) (err error) {
	if x.Process.TTY {
		b.ttyR, files.TTY, err = b.socketpair()
		return err
	}
	if x.Process.Stdin {
		r, w, err := b.pipe()
		if err != nil {
			return err
		}
		files.Stdin = r
		if out.Stdin, err = b.own(w, "stdin"); err != nil {
			return err
		}
	}
	if out.Stdout, files.Stdout, err = b.execOutput("stdout"); err != nil {
		return err
	}
	out.Stderr, files.Stderr, err = b.execOutput("stderr")
	return err
}

// execOutput makes an ordinary pipe: a command of exec ends when nobody reads it any more.
func (b *birth) execOutput(name string) (*os.File, int, error) {
	r, w, err := b.pipe()
	if err != nil {
		return nil, -1, err
	}
	if err := b.env.giveAway(w); err != nil {
		return nil, -1, err
	}
	f, err := b.own(r, name)
	return f, w, err
}

func (p *ExecProcess) close() {
	for _, f := range []*os.File{p.Stdin, p.Stdout, p.Stderr, p.Master} {
		if f != nil {
			f.Close()
		}
	}
}

// Close closes what is left open of a command's streams.
func (p *ExecProcess) Close() { p.close() }
