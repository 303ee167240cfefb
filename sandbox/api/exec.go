package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/sandbox/view"
	"github.com/moss-sandbox/moss/userns/sys"
)

// An execution is a command of exec: made, then started once.
type execution struct {
	id        string
	container string // id
	want      view.ExecRequest

	detached bool

	mu      sync.Mutex
	started bool
	running bool
	code    *int
	pid     int
	master  *os.File // of its terminal, while it runs
	ended   time.Time
}

// execs are the commands that clients know of. It is the one thing that a server knows and the disk does not.
type execs struct {
	mu  sync.Mutex
	all map[string]*execution
}

// execKept is how long a command can be inspected after its end.
const execKept = 5 * time.Minute

// add notes a command, and forgets old ones.
func (e *execs) add(x *execution) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = map[string]*execution{}
	}
	for id, old := range e.all {
		if old.old() {
			delete(e.all, id)
		}
	}
	e.all[x.id] = x
}

// old tells whether nobody asks for a command any more: its end, or its making without a start, is long ago.
func (x *execution) old() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.running && time.Since(x.ended) > execKept
}

func (e *execs) find(id string) (*execution, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.all[id]; x != nil {
		return x, nil
	}
	return nil, notFound("No such exec instance: %s", id)
}

// any tells whether a command runs.
func (e *execs) any() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.all {
		x.mu.Lock()
		runs := x.running
		x.mu.Unlock()
		if runs {
			return true
		}
	}
	return false
}

// of are the ids of the commands that run in a container.
func (e *execs) of(container string) (ids []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, x := range e.all {
		x.mu.Lock()
		if x.container == container && x.running {
			ids = append(ids, id)
		}
		x.mu.Unlock()
	}
	return ids
}

// execCreate serves POST /containers/{name}/exec.
func (s *Server) execCreate(q *request) error {
	var want view.ExecRequest
	if err := q.body(&want, false); err != nil {
		return err
	}
	if len(want.Cmd) == 0 {
		return badRequest("No exec command specified")
	}
	c, err := s.engine.Find(q.r.Context(), q.vars["name"])
	if err != nil {
		return err
	}
	switch c.State.Status {
	case sandbox.Running:
	case sandbox.Paused:
		return conflict("Container %s is paused, unpause the container before exec", c.Spec.Name)
	case sandbox.Restarting:
		return conflict("Container %s is restarting, wait until the container is running", c.ID)
	case sandbox.Created, sandbox.Exited, sandbox.Removing, sandbox.Dead:
		return conflict("container %s is not running", c.ID)
	}
	var b [32]byte
	_, _ = rand.Read(b[:])
	x := &execution{id: hex.EncodeToString(b[:]), container: c.ID, want: want, ended: time.Now()}
	s.execs.add(x)
	s.engine.Dirs.Emit(c.Event("exec_create: "+strings.Join(want.Cmd, " "), "execID", x.id))
	q.json(http.StatusCreated, map[string]string{"Id": x.id})
	return nil
}

// execStart serves POST /exec/{id}/start.
func (s *Server) execStart(q *request) error {
	x, err := s.execs.find(q.vars["id"])
	if err != nil {
		return err
	}
	var how view.ExecStart
	if err := q.body(&how, true); err != nil {
		return err
	}
	if err := x.claim(); err != nil {
		return err
	}
	if how.Detach {
		return s.execDetached(q, x)
	}
	c, err := s.engine.Find(q.r.Context(), x.container)
	if err != nil {
		x.finish(126)
		return err
	}
	conn, ctx, err := q.hijack(s, how.Tty) // the framing follows this request, not the one that made it
	if err != nil {
		x.finish(126)
		return err
	}
	defer conn.done()
	p, err := s.spawn(x, c, how.ConsoleSize)
	if err != nil {
		_ = conn.write(frameStdout, []byte(err.Error()+"\r\n"))
		return nil
	}
	s.execAttached(ctx, conn, x, c, p)
	return nil
}

// claim makes sure that a command is started once.
func (x *execution) claim() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.started {
		return conflict("Error: Exec command %s is already running", x.id)
	}
	x.started = true
	return nil
}

// spawn starts the command.
func (s *Server) spawn(x *execution, c *sandbox.Snapshot, size *[2]uint) (*supervisor.ExecProcess, error) {
	w := &x.want
	e := &engine.Exec{Args: w.Cmd, Env: w.Env, Dir: w.WorkingDir, User: w.User, TTY: w.Tty, Stdin: w.AttachStdin, Privileged: w.Privileged, Detach: x.detached}
	if size == nil {
		size = w.ConsoleSize
	}
	if size != nil {
		e.Size = [4]uint16{uint16(size[0]), uint16(size[1])}
	}
	_, p, err := s.engine.Exec(context.Background(), c.ID, e) // a client that goes does not take it along
	if err != nil {
		code := 126
		var ce *supervisor.CommandError
		if errors.As(err, &ce) {
			code = ce.Code
		}
		x.finish(code)
		return nil, err
	}
	x.mu.Lock()
	x.running, x.pid, x.master = true, p.PID, p.Master
	x.mu.Unlock()
	s.engine.Dirs.Emit(c.Event("exec_start: "+strings.Join(w.Cmd, " "), "execID", x.id))
	return p, nil
}

// finish notes the end. It comes before the stream's end: a client that has seen that may inspect at once.
func (x *execution) finish(code int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running, x.code, x.master, x.ended = false, &code, nil, time.Now()
}

// execDetached starts a command that nobody listens to.
func (s *Server) execDetached(q *request, x *execution) error {
	x.want.AttachStdin, x.detached = false, true
	c, err := s.engine.Find(q.r.Context(), x.container)
	if err != nil {
		x.finish(126)
		return err
	}
	p, err := s.spawn(x, c, nil)
	if err != nil {
		return startError(err)
	}
	go s.execEnd(x, c, p, func(byte, []byte) error { return nil })
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// execAttached moves a command's streams until its end. A client that has gone is forgotten; the command goes on without.
func (s *Server) execAttached(ctx context.Context, conn *session, x *execution, c *sandbox.Snapshot, p *supervisor.ExecProcess) {
	to := p.Stdin
	if p.Master != nil {
		to = p.Master
	}
	detached := make(chan struct{})
	if to != nil && x.want.AttachStdin {
		go func() {
			if copyInput(to, conn.in, p.Master != nil, x.want.DetachKeys) {
				s.engine.Dirs.Emit(c.Event("exec_detach", "execID", x.id))
				close(detached)
			}
			if p.Stdin != nil {
				p.Stdin.Close()
			}
		}()
	}
	ended := make(chan struct{})
	go func() {
		s.execEnd(x, c, p, func(stream byte, b []byte) error {
			if stream == frameStdout && !x.want.AttachStdout && p.Master == nil || stream == frameStderr && !x.want.AttachStderr {
				return nil
			}
			return conn.write(stream, b)
		})
		close(ended)
	}()
	select {
	case <-ended:
	case <-detached:
	case <-ctx.Done():
	}
}

// execEnd moves a command's output until its end and notes that. Output that nobody takes any more is dropped.
func (s *Server) execEnd(x *execution, c *sandbox.Snapshot, p *supervisor.ExecProcess, emit func(byte, []byte) error) {
	var wg sync.WaitGroup
	for _, from := range []struct {
		f      *os.File
		stream byte
	}{{p.Stdout, frameStdout}, {p.Stderr, frameStderr}, {p.Master, frameStdout}} {
		if from.f != nil {
			wg.Go(func() { moveOutput(from.f, func(b []byte) error { return emit(from.stream, b) }) })
		}
	}
	wg.Wait()
	code, err := p.Wait()
	if err != nil {
		code = 255
	}
	x.finish(code)
	p.Close()
	s.engine.Dirs.Emit(c.Event("exec_die", "execID", x.id, "exitCode", strconv.Itoa(code)))
	s.since.Store(time.Now().UnixNano())
}

// moveOutput hands on what comes until its end: end of file, or EIO of a terminal that nobody has open.
func moveOutput(from io.Reader, emit func([]byte) error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && emit != nil && emit(buf[:n]) != nil {
			emit = nil
		}
		if err != nil {
			return
		}
	}
}

// execInspect serves GET /exec/{id}/json.
func (s *Server) execInspect(q *request) error {
	x, err := s.execs.find(q.vars["id"])
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	w := &x.want
	return q.ok(view.ExecInspect{
		ID: x.id, Running: x.running, ExitCode: x.code, OpenStdin: w.AttachStdin, OpenStdout: w.AttachStdout, OpenStderr: w.AttachStderr,
		ContainerID: x.container, Pid: x.pid, CanRemove: !x.running && x.started,
		ProcessConfig: &view.ExecProcess{Tty: w.Tty, Entrypoint: w.Cmd[0], Arguments: append([]string{}, w.Cmd[1:]...), Privileged: &w.Privileged, User: w.User},
	})
}

// execResize serves POST /exec/{id}/resize.
func (s *Server) execResize(q *request) error {
	size, err := q.size()
	if err != nil {
		return err
	}
	x, err := s.execs.find(q.vars["id"])
	if err != nil {
		return err
	}
	for end := time.Now().Add(time.Second); ; time.Sleep(5 * time.Millisecond) { // clients resize while the start is on its way
		done, err := x.resize(size)
		if done || time.Now().After(end) || q.r.Context().Err() != nil {
			if err == nil {
				q.w.WriteHeader(http.StatusOK)
			}
			return err
		}
	}
}

// resize sets the size of a command's terminal; not done where it is being started.
func (x *execution) resize(size *sys.Winsize) (done bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.running && x.master != nil:
		return true, sys.SetWinsize(sys.FD(x.master), size)
	case x.running:
		return true, nil
	case x.started && x.code == nil:
		return false, conflict("exec %s is not running", x.id)
	}
	return true, conflict("exec %s is not running: cannot resize a stopped container", x.id)
}
