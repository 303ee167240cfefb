package supervisor

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Limits are changed by the process that carries them: the supervisor, or a foreground client that was asked for limits,
// which listens on a socket in the container's directory. What a foreground client does not carry the supervisor takes on.

// controlName is the socket of a foreground client.
const controlName = "control"

func (a Act) known() bool { return a == Update || a == Pause || a == Unpause }

// Act asks the process that carries a container's limits.
func (c *Client) Act(ctx context.Context, sb *sandbox.Sandbox, act Act, body []byte) ([]byte, error) {
	q := request{V: protocolVersion, Op: string(act), ID: sb.ID, Body: body}
	r, err := try(sb.Path(controlName), q)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		r, err = c.ask(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	return r.Body, r.err()
}

// Control answers Act for a container that this process serves. The result ends it.
func (e *Env) Control(ctx context.Context, c *sandbox.Snapshot) (stop func(), err error) {
	ln, err := listen(c.Path(controlName))
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			f, err := accept(ln)
			if err != nil {
				return
			}
			e.control(ctx, c, f)
			f.Close()
		}
	}()
	return func() {
		_ = os.Remove(c.Path(controlName))
		ln.Close()
	}, nil
}

func (e *Env) control(ctx context.Context, c *sandbox.Snapshot, f *os.File) {
	q, err := ask(f)
	if err != nil || !Act(q.Op).known() {
		return
	}
	r := reply{V: protocolVersion, PID: os.Getpid()}
	r.Body, err = e.Group.Act(ctx, c, Act(q.Op), q.Body)
	r.set(err)
	_ = send(f, r)
}

// act is Act in the supervisor. A container that it does not serve is watched until its end.
func (s *Server) act(ctx context.Context, q request) ([]byte, error) {
	env, err := s.Env()
	if err != nil {
		return nil, err
	}
	c, err := s.Dirs.Open(q.ID).Look()
	if err != nil {
		return nil, err
	}
	body, err := env.Group.Act(ctx, c, Act(q.Op), q.Body)
	if err == nil {
		s.watch(env, c)
	}
	return body, err
}

// watch keeps the supervisor there, with the limits it has taken on, while a container lives that somebody else serves.
func (s *Server) watch(env *Env, c *sandbox.Snapshot) {
	key := "limits of " + c.ID
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs[c.ID] != nil || s.jobs[key] != nil {
		return
	}
	fd, err := c.State.Guest.Open()
	if err != nil {
		return
	}
	s.jobs[key] = &job{cancel: func() {}}
	go func() {
		_, _ = sys.Poll([]sys.PollFd{{Fd: int32(fd), Events: sys.PollIn}}, -1)
		syscall.Close(fd)
		env.Group.Leave(c)
		s.mu.Lock()
		delete(s.jobs, key)
		s.idle.Signal()
		s.mu.Unlock()
	}()
}
