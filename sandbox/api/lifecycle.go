package api

import (
	"errors"
	"net/http"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/sandbox/view"
	"github.com/moss-sandbox/moss/userns/sys"
)

// start serves POST /containers/{name}/start.
func (s *Server) start(q *request) error {
	c, err := s.engine.Find(q.r.Context(), q.vars["name"])
	if err != nil {
		return err
	}
	_, started, err := s.engine.Start(q.r.Context(), c.ID)
	if err != nil && c.Spec.AutoRemove {
		err = errors.Join(err, s.engine.Remove(q.r.Context(), c.ID, true, true))
	}
	switch {
	case err != nil:
		return startError(err)
	case !started:
		return errNotModified
	}
	return q.none()
}

// startError: clients make exit codes out of the text of a command that could not be executed.
func startError(err error) error {
	var ce *supervisor.CommandError
	if errors.As(err, &ce) {
		return &statusError{http.StatusBadRequest, ce.Error()}
	}
	return err
}

// optionalSignal reads a signal that need not be said.
func (q *request) optionalSignal(otherwise syscall.Signal) (syscall.Signal, error) {
	name := q.query.Get("signal")
	if name == "" {
		return otherwise, nil
	}
	sig, err := engine.ParseSignal(name)
	if err != nil {
		return 0, badRequest("Invalid signal: %s", name)
	}
	return sig, nil
}

// timeout reads t: seconds before SIGKILL, nil where it is not said.
func (q *request) timeout() (*int, error) {
	if q.query.Get("t") == "" {
		return nil, nil
	}
	n, err := q.number("t", 0)
	return &n, err
}

// stop serves POST /containers/{name}/stop.
func (s *Server) stop(q *request) error {
	sig, err := q.optionalSignal(0)
	if err != nil {
		return err
	}
	t, err := q.timeout()
	if err != nil {
		return err
	}
	stopped, err := s.engine.Stop(q.r.Context(), q.vars["name"], sig, t)
	switch {
	case err != nil:
		return err
	case !stopped:
		return errNotModified
	}
	return q.none()
}

// restart serves POST /containers/{name}/restart.
func (s *Server) restart(q *request) error {
	sig, err := q.optionalSignal(0)
	if err != nil {
		return err
	}
	t, err := q.timeout()
	if err != nil {
		return err
	}
	ctx, name := q.r.Context(), q.vars["name"]
	if _, err := s.engine.Stop(ctx, name, sig, t); err != nil {
		return err
	}
	c, _, err := s.engine.Start(ctx, name)
	if err != nil {
		return startError(err)
	}
	s.engine.Dirs.Emit(c.Event("restart"))
	return q.none()
}

// kill serves POST /containers/{name}/kill.
func (s *Server) kill(q *request) error {
	sig, err := q.optionalSignal(syscall.SIGKILL)
	if err != nil {
		return err
	}
	if err := s.engine.Kill(q.r.Context(), q.vars["name"], sig); err != nil {
		return err
	}
	return q.none()
}

// remove serves DELETE /containers/{name}.
func (s *Server) remove(q *request) error {
	if q.flag("link") {
		return badRequest("links are not removed: a link is part of its container")
	}
	if err := s.engine.Remove(q.r.Context(), q.vars["name"], q.flag("force"), q.flag("v")); err != nil {
		return err
	}
	return q.none()
}

// rename serves POST /containers/{name}/rename.
func (s *Server) rename(q *request) error {
	if err := s.engine.Rename(q.r.Context(), q.vars["name"], q.query.Get("name")); err != nil {
		return otherwise(http.StatusBadRequest, err)
	}
	return q.none()
}

// resize serves POST /containers/{name}/resize.
func (s *Server) resize(q *request) error {
	size, err := q.size()
	if err != nil {
		return err
	}
	c, err := s.engine.Find(q.r.Context(), q.vars["name"])
	if err != nil {
		return err
	}
	if c.State.Status != "running" {
		return conflict("cannot resize a stopped container: unknown")
	}
	if !c.Spec.Process.TTY {
		return q.ok(nil)
	}
	m, err := supervisor.TakeMaster(c)
	if err != nil {
		return conflict("cannot resize a stopped container: %v", err)
	}
	defer m.Close()
	if err := sys.SetWinsize(sys.FD(m), size); err != nil {
		return err
	}
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// size reads h and w.
func (q *request) size() (*sys.Winsize, error) {
	h, err := q.number("h", 0)
	if err != nil {
		return nil, err
	}
	w, err := q.number("w", 0)
	if err != nil {
		return nil, err
	}
	return &sys.Winsize{Row: uint16(h), Col: uint16(w)}, nil
}

// wait serves POST /containers/{name}/wait. The header is sent at once: a client waits for it before it starts the
// container.
func (s *Server) wait(q *request) error {
	until := engine.Condition(q.query.Get("condition"))
	switch until {
	case "":
		until = engine.NotRunning
	case engine.NotRunning, engine.NextExit, engine.Removed:
	default:
		return badRequest("invalid condition: %q", until)
	}
	c, err := s.engine.Find(q.r.Context(), q.vars["name"])
	if err != nil {
		return err
	}
	q.w.Header().Set("Content-Type", "application/json")
	q.w.WriteHeader(http.StatusOK)
	q.w.flush()
	code, err := s.engine.WaitFor(q.r.Context(), c, until)
	if err != nil {
		return nil // the client has gone, or the state cannot be read any more
	}
	q.json(http.StatusOK, view.Waited{StatusCode: int64(code)})
	return nil
}
