package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A Server serves a user's detached containers.
type Server struct {
	Env  func() (*Env, error) // asked for anew after the keeper's death
	Dirs *sandbox.Dirs
	Root string
	// Guard is the guard that this process has already, or 0; see OwnGuard.
	Guard int

	mu    sync.Mutex
	jobs  map[string]*job
	idle  *sync.Cond // told when a job ends or a client leaves
	users int        // clients being answered
}

// job is one container that is served.
type job struct {
	cancel context.CancelFunc // ends the wait between two runs
	guest  atomic.Pointer[Guest]
}

// linger is how long a supervisor without containers waits for the next one.
const linger = 300 * time.Millisecond

// Run is the supervisor: it takes the lock that there is one of, tells ready (closing the file), takes over every container
// that nobody serves, answers clients, and ends when no container is left. Another supervisor's presence is no error.
func (s *Server) Run(ctx context.Context, ready *os.File) error {
	s.jobs, s.idle = map[string]*job{}, sync.NewCond(&s.mu)
	lock, err := s.lock()
	if err != nil || lock == nil {
		ready.Close()
		return err
	}
	defer lock.Close()
	guard := s.startGuard() // first: from here on a kill of this process brings the next one
	defer guard.stop()
	if err := sys.SetSubreaper(); err != nil { // who loses a parent becomes a child of ours, and is reaped
		return err
	}
	ln, err := listen(s.Dirs.Supervisor())
	if err != nil {
		ready.Close()
		return err
	}
	s.recover(ctx)
	ready.Close()
	go s.accept(ctx, ln)
	s.untilIdle()
	_ = os.Remove(s.Dirs.Supervisor())
	return ln.Close()
}

// lock takes the supervisor's lock; nil if another supervisor has it.
func (s *Server) lock() (*os.File, error) {
	f, err := os.OpenFile(s.Dirs.Run+"/supervisor.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for range 40 { // one that was just killed may still be on its way out
		if err = sys.LockOFD(int(f.Fd())); err == nil {
			return f, nil
		}
		if probe, err := dial(s.Dirs.Supervisor()); err == nil {
			probe.Close()
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	f.Close()
	return nil, nil
}

// untilIdle waits until there has been no container and no client for a while.
func (s *Server) untilIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.jobs) > 0 || s.users > 0 {
			s.idle.Wait()
		}
		s.mu.Unlock()
		time.Sleep(linger)
		s.mu.Lock()
		if len(s.jobs) == 0 && s.users == 0 {
			return
		}
	}
}

func (s *Server) accept(ctx context.Context, ln *os.File) {
	for {
		f, err := accept(ln)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors
			continue
		}
		s.mu.Lock()
		s.users++
		s.mu.Unlock()
		go func() {
			s.answer(ctx, f)
			f.Close()
			s.mu.Lock()
			s.users--
			s.idle.Signal()
			s.mu.Unlock()
		}()
	}
}

// answer answers one request.
func (s *Server) answer(ctx context.Context, f *os.File) {
	q, err := ask(f)
	if err != nil {
		return
	}
	r := reply{V: protocolVersion, PID: os.Getpid()}
	switch {
	case q.V != protocolVersion:
		r.Error = fmt.Sprintf("the background process speaks version %d, the command version %d", protocolVersion, q.V)
	case q.Op == "start":
		r.set(s.start(ctx, q.ID, q.Size))
	case Act(q.Op).known():
		r.Body, err = s.act(ctx, q)
		r.set(err)
	case q.Op == "ping":
		s.recover(ctx)
	case q.Op == "stdin":
		s.handStdin(f, q.ID, r)
		return
	default:
		r.Error = "unknown request " + q.Op
	}
	_ = send(f, r)
}

// ask reads what a client wants; only this user is answered.
func ask(f *os.File) (q request, err error) {
	uid, err := peer(f)
	if err != nil {
		return q, err
	}
	if int(uid) != os.Geteuid() {
		return q, os.ErrPermission
	}
	_ = f.SetReadDeadline(time.Now().Add(requestTimeout))
	return q, receive(f, &q)
}

func (r *reply) set(err error) {
	if err == nil {
		return
	}
	r.Error = err.Error()
	var ce *CommandError
	if errors.As(err, &ce) {
		r.Code = ce.Code
	}
	var h interface{ Hints() []string }
	if errors.As(err, &h) && len(h.Hints()) > 0 {
		r.Hint = h.Hints()[0]
	}
}

// start starts a container; its first birth decides the answer.
func (s *Server) start(ctx context.Context, id string, size [4]uint16) error {
	env, err := s.Env()
	if err != nil {
		return err
	}
	sb := s.Dirs.Open(id)
	served, err := s.serve(ctx, sb)
	if err != nil {
		return err
	}
	c, err := sb.LookServing()
	if err != nil {
		served.Close()
		return err
	}
	if c.State.Guest.Alive() { // it runs, and its server died
		served.Close()
		return s.adopt(ctx, env, sb)
	}
	c.ClearStopped()
	c.State.StoppedByUser, c.State.Restarts = false, 0
	g, err := env.Birth(ctx, c, served, size)
	if err != nil {
		recordFailure(c, err)
		served.Close()
		return err
	}
	s.Dirs.Emit(c.Event("start"))
	s.keep(ctx, g, served)
	return nil
}

// serve takes the right to serve a container. Its last server may be about to give it back.
func (s *Server) serve(ctx context.Context, sb *sandbox.Sandbox) (*os.File, error) {
	deadline := time.Now().Add(sandbox.LockWait)
	for {
		f, err := sb.TryServe()
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil || errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		time.Sleep(time.Millisecond)
	}
}

// recordFailure keeps why a container could not be started.
func recordFailure(c *sandbox.Snapshot, err error) {
	st := c.State
	st.Error, st.ExitCode = err.Error(), 128
	var ce *CommandError
	if errors.As(err, &ce) {
		st.ExitCode = ce.Code
	}
	if st.Status == sandbox.Running || st.Status == sandbox.Restarting {
		st.Status = sandbox.Exited
	}
	_ = c.SaveState(st)
}

// keep serves a guest in the background until it is not to be restarted any more.
func (s *Server) keep(ctx context.Context, g *Guest, served *os.File) {
	ctx, cancel := context.WithCancel(ctx)
	id := g.snap.ID
	j := &job{cancel: cancel}
	j.guest.Store(g)
	s.mu.Lock()
	s.jobs[id] = j
	s.mu.Unlock()
	go func() {
		defer cancel()
		s.life(ctx, j, g)
		served.Close()
		s.mu.Lock()
		delete(s.jobs, id)
		s.idle.Signal()
		s.mu.Unlock()
	}()
}

// Restart delays: 100 ms, doubling to a minute, from the beginning again after ten seconds of life.
const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = time.Minute
	goodLife   = 10 * time.Second
)

// life serves a guest, and its successors if its policy says so.
func (s *Server) life(ctx context.Context, j *job, g *Guest) {
	delay := firstDelay
	for {
		c := g.snap
		_, _ = g.Serve(ctx, Sinks{}) // what could not be recorded stands in the lock file
		if fresh, err := c.Look(); err == nil {
			c = fresh // policy and the user's stop may have changed meanwhile
		}
		if c.State.Finished.Sub(c.State.Started) >= goodLife {
			delay = firstDelay
		}
		if !restartable(c.Spec.Restart, &c.State) {
			s.end(ctx, c)
			return
		}
		c.State.Status, c.State.Restarts = sandbox.Restarting, c.State.Restarts+1
		_ = c.SaveState(c.State)
		next, err := s.again(ctx, c, delay)
		if err != nil {
			return
		}
		g, delay = next, min(2*delay, lastDelay)
		j.guest.Store(g)
	}
}

// end removes a container that was to be removed.
func (s *Server) end(ctx context.Context, c *sandbox.Snapshot) {
	if !c.Spec.AutoRemove {
		return
	}
	if env, err := s.Env(); err == nil {
		_ = env.Remove(ctx, c) // what is left is swept away later
	}
}

// again waits and has the container born once more. A stop in the meantime ends the wait.
func (s *Server) again(ctx context.Context, c *sandbox.Snapshot, delay time.Duration) (*Guest, error) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
			waiting = false
		case <-tick.C:
			now, err := c.Look()
			if err != nil || now.State.StoppedByUser {
				return nil, stopped(now)
			}
		}
	}
	env, err := s.Env()
	if err != nil {
		return nil, err
	}
	fresh, err := c.Look()
	if err != nil || fresh.State.StoppedByUser {
		return nil, stopped(fresh)
	}
	fresh.State.Restarts = c.State.Restarts
	g, err := env.Birth(ctx, fresh, nil, [4]uint16{})
	if err != nil {
		recordFailure(fresh, err)
		return nil, err
	}
	s.Dirs.Emit(fresh.Event("start"))
	return g, nil
}

// stopped records that a wait for a restart was ended by the user.
func stopped(c *sandbox.Snapshot) error {
	if c != nil && c.State.Status == sandbox.Restarting {
		c.State.Status = sandbox.Exited
		_ = c.SaveState(c.State)
	}
	return context.Canceled
}

// recover takes over what nobody serves, and sweeps.
func (s *Server) recover(ctx context.Context) {
	env, err := s.Env()
	if err != nil {
		return
	}
	_ = env.Sweep(ctx)
	all, err := s.Dirs.List()
	if err != nil {
		return
	}
	for _, sb := range all {
		c, err := sb.Look()
		if err == nil && c.Unsettled {
			if s.adopt(ctx, env, sb) != nil {
				s.adoptLater(ctx, sb)
			}
		} else if err == nil && c.Spec.AutoRemove && c.State.Status == sandbox.Exited {
			env.Settle(ctx, sb)
		}
	}
}

// adopt serves a container whose server died, or records its end, or starts it again as its policy says. One that cannot be
// taken over now, since no descriptor is left, stays as it is: nothing is recorded on a guess.
func (s *Server) adopt(ctx context.Context, env *Env, sb *sandbox.Sandbox) error {
	served, err := sb.TryServe()
	if err != nil {
		return nil // somebody else does
	}
	c, err := sb.LookServing()
	if err == nil && c.Orphan {
		err = c.EndOrphans(userns.Process{})
	}
	if err != nil || !c.Unsettled || c.Orphan {
		return errors.Join(err, served.Close())
	}
	g, err := env.Adopt(c, served)
	if err == nil {
		s.keep(ctx, g, served)
		return nil
	}
	if !errors.Is(err, os.ErrProcessDone) {
		return errors.Join(err, served.Close())
	}
	env.lay(ctx, c)
	again := restartable(c.Spec.Restart, &c.State) && c.State.Where == here()
	served.Close()
	if again {
		_ = s.start(ctx, c.ID, [4]uint16{}) // its error is recorded
	}
	return nil
}

// A container that could not be taken over is tried again this often; then any moss command may.
const (
	adoptPause = time.Second
	adoptTries = 60
)

// adoptLater tries again. The supervisor stays meanwhile.
func (s *Server) adoptLater(ctx context.Context, sb *sandbox.Sandbox) {
	s.mu.Lock()
	s.users++
	s.mu.Unlock()
	go func() {
		for range adoptTries {
			time.Sleep(adoptPause)
			if env, err := s.Env(); err == nil && s.adopt(ctx, env, sb) == nil {
				break
			}
		}
		s.mu.Lock()
		s.users--
		s.idle.Signal()
		s.mu.Unlock()
	}()
}
