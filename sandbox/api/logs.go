package api

import (
	"errors"
	"io/fs"
	"net/http"
	"strconv"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/output"
	"github.com/moss-sandbox/moss/sandbox/phrase"
)

// logs serves GET /containers/{name}/logs.
func (s *Server) logs(q *request) error {
	c, err := s.engine.Find(q.r.Context(), q.vars["name"])
	if err != nil {
		return err
	}
	stdout, stderr := q.flag("stdout"), q.flag("stderr")
	if !stdout && !stderr {
		return badRequest("Bad parameters: you must choose at least one stream")
	}
	if c.Spec.Log.Driver == "none" {
		return &statusError{http.StatusNotImplemented, "configured logging driver does not support reading"}
	}
	query, err := q.logQuery()
	if err != nil {
		return err
	}
	tty := c.Spec.Process.TTY
	kind := rawStream
	if q.version >= 42 && !tty {
		kind = multiplexedStream
	}
	q.w.Header().Set("Content-Type", kind)
	q.w.WriteHeader(http.StatusOK)
	q.w.flush()
	p := &logPrinter{q: q, tty: tty, stdout: stdout, stderr: stderr, stamps: q.flag("timestamps"), flush: query.Follow}
	_ = output.Select(q.r.Context(), c.Dir, query, func() bool { return s.over(c) }, p.line) // ends with the client
	return nil
}

// over tells whether no more output comes.
func (s *Server) over(c *sandbox.Snapshot) bool {
	now, err := c.Look()
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return err == nil && !now.Unsettled && (now.State.Status == sandbox.Exited || now.State.Status == sandbox.Created || now.State.Status == sandbox.Dead)
}

// logQuery reads follow, since, until and tail; a tail that is no number means all, as with Docker.
func (q *request) logQuery() (l output.Query, err error) {
	l = output.Query{Follow: q.flag("follow"), Tail: -1}
	if n, err := strconv.Atoi(q.query.Get("tail")); err == nil && n >= 0 {
		l.Tail = n
	}
	if l.Since, err = q.time("since"); err != nil {
		return l, err
	}
	l.Until, err = q.time("until")
	return l, err
}

// logPrinter sends lines, framed where there is no terminal.
type logPrinter struct {
	q                                  *request
	tty, stdout, stderr, stamps, flush bool
}

func (p *logPrinter) line(l output.Line) error {
	stream := byte(frameStdout)
	if l.Stream == output.Stderr {
		stream = frameStderr
	}
	if l.Stream == output.Dropped {
		stream, l.Data = frameStderr, []byte("moss: "+strconv.FormatInt(l.Lost, 10)+" bytes of output were dropped here: the disk was full\n")
	}
	if stream == frameStdout && !p.stdout || stream == frameStderr && !p.stderr {
		return nil
	}
	data := l.Data
	if p.stamps {
		data = append([]byte(l.Time.UTC().Format(phrase.Stamp)+" "), data...)
	}
	if err := writeFrame(p.q.w, p.tty, stream, data); err != nil {
		return err
	}
	if p.flush {
		p.q.w.flush()
	}
	return nil
}
