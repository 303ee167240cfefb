package api

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/output"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
)

// An attachment is a client at a container's streams. Output is read from the log, input goes to what the container's
// holder keeps: nothing of the client can hold the container up.
type attachment struct {
	s        *Server
	c        *sandbox.Snapshot // as it was when the client came
	x        *session
	out, err bool
	in       bool
	keys     string
}

// attach serves POST /containers/{name}/attach. A container that does not run is attached to, and waited for.
func (s *Server) attach(q *request) error {
	c, err := s.engine.Find(q.r.Context(), q.vars["name"])
	if err != nil {
		return err
	}
	if c.Foreign {
		return conflict("container %s runs elsewhere", c.Spec.Name)
	}
	if c.State.Status == sandbox.Paused {
		return conflict("container %s is paused, unpause the container before attach", c.Spec.Name)
	}
	a := &attachment{s: s, c: c, out: q.flag("stdout"), err: q.flag("stderr"), in: q.flag("stdin") && q.flag("stream") && c.Spec.Process.Stdin, keys: q.query.Get("detachKeys")}
	r, err := reader(c, q.flag("logs"))
	if err != nil {
		return err
	}
	defer r.Close()
	x, ctx, err := q.hijack(s, c.Spec.Process.TTY)
	if err != nil {
		return err
	}
	defer x.done()
	a.x = x
	if !q.flag("stream") {
		a.drain(r)
		return nil
	}
	a.follow(ctx, r)
	return nil
}

// reader reads the log from its beginning or from now on. The files are made first, so that they can be read to their end
// even if the container is removed at its end.
func reader(c *sandbox.Snapshot, all bool) (*output.Reader, error) {
	if err := output.Prepare(c.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if all {
		return output.Open(c.Dir), nil
	}
	return output.OpenAtEnd(c.Dir)
}

// attachTick is how long a change may go unseen where the directory cannot be watched well: splice(2) tells nobody of what
// it has written before Linux 6.7.
const attachTick = 50 * time.Millisecond

// follow sends output until the run that the client is attached to has ended, or the client has gone.
func (a *attachment) follow(ctx context.Context, r *output.Reader) {
	w := output.NewWatch(a.c.Dir)
	defer w.Close()
	run := &run{before: a.c}
	for {
		now, err := a.c.Look()
		if err == nil && now.Unsettled {
			_, _ = a.s.engine.Find(ctx, a.c.ID) // has it served again, or recorded
		}
		ended := run.ended(now, err)
		if run.begun && a.in {
			a.in = false
			go a.input(ctx, now)
		}
		if !a.drain(r) || ended || w.Wait(ctx, attachTick) != nil {
			return
		}
	}
}

// A run follows one run of a container: the one it is in, or the next.
type run struct {
	before *sandbox.Snapshot
	begun  bool
	state  sandbox.State // of the run
}

// ended tells whether the run has ended, or was tried in vain.
func (r *run) ended(now *sandbox.Snapshot, err error) bool {
	if err != nil { // removed
		return true
	}
	st := &now.State
	lives := st.Status == sandbox.Running || st.Status == sandbox.Paused
	if !r.begun {
		fresh := !st.Started.Equal(r.before.State.Started)
		wasAlive := r.before.State.Status == sandbox.Running
		if !fresh && !wasAlive {
			return st.Error != "" && st.Error != r.before.State.Error
		}
		r.begun, r.state = true, *st
	}
	return !now.Unsettled && (!lives || st.Guest != r.state.Guest)
}

// drain sends what is in the log; false when the client has gone.
func (a *attachment) drain(r *output.Reader) bool {
	for {
		p, err := r.Next()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		stream := byte(frameStdout)
		if p.Stream == output.Stderr {
			stream = frameStderr
		}
		if stream == frameStdout && !a.out || stream == frameStderr && !a.err || p.Stream == output.Dropped {
			continue
		}
		if a.x.write(stream, p.Data) != nil {
			return false
		}
	}
}

// input copies the client's input to the container until either ends or the detach keys are typed.
func (a *attachment) input(ctx context.Context, c *sandbox.Snapshot) {
	to, err := a.s.openInput(ctx, c)
	if err != nil {
		return
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { to.Close() })()
	if copyInput(to, a.x.in, c.Spec.Process.TTY, a.keys) {
		a.s.engine.Dirs.Emit(c.Event("detach"))
		a.x.conn.Close()
	}
}

// copyInput copies until the end of from; true when the detach keys were typed, which only counts with a terminal.
func copyInput(to io.Writer, from io.Reader, tty bool, keys string) (detached bool) {
	if !tty {
		_, _ = io.Copy(to, from)
		return false
	}
	d := newDetacher(keys)
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		send, detach := d.feed(buf[:n])
		if _, werr := to.Write(send); werr != nil || err != nil || detach {
			return detach
		}
	}
}

// openInput opens what a running container reads from. An input that ends with its first client is taken from the
// supervisor, which may not have noted the run yet.
func (s *Server) openInput(ctx context.Context, c *sandbox.Snapshot) (*os.File, error) {
	switch {
	case c.Spec.Process.TTY:
		return retry(ctx, func() (*os.File, error) { return supervisor.TakeMaster(c) })
	case !c.Spec.Process.StdinOnce:
		return supervisor.OpenStdin(c)
	}
	return retry(ctx, func() (*os.File, error) { return s.engine.Supervisor().TakeStdin(ctx, c.ID) })
}

// retry tries for a moment.
func retry(ctx context.Context, open func() (*os.File, error)) (f *os.File, err error) {
	for pause := time.Millisecond; pause < time.Second && ctx.Err() == nil; pause *= 2 {
		if f, err = open(); err == nil {
			return f, nil
		}
		time.Sleep(pause)
	}
	return nil, errors.Join(err, ctx.Err())
}
