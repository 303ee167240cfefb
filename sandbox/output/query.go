package output

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// Prepare makes the files of a container's log, so that a reader opened before the first byte sees all of them, also when
// the container has been removed meanwhile.
func Prepare(dir string) error {
	for _, name := range []string{"/log", "/index"} {
		f, err := os.OpenFile(dir+name, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// A Query says which lines of a log are wanted.
type Query struct {
	Since, Until time.Time
	Tail         int // lines from the end; negative for all
	Follow       bool
}

// Select calls emit for each line that a query wants, in their order; with Follow until ended says that nothing more comes,
// Until has passed, or ctx ends (its error then).
func Select(ctx context.Context, dir string, q Query, ended func() bool, emit func(Line) error) error {
	w := NewWatch(dir) // before the first look: nothing is missed
	defer w.Close()
	r := Open(dir)
	defer r.Close()
	s := &selection{q: q, emit: emit}
	l := &Lines{Emit: s.line}
	over := !q.Follow || ended()
	if err := readAll(r, l); err != nil {
		return err
	}
	if over || q.Tail >= 0 { // a last line without an end counts
		if err := l.Flush(); err != nil {
			return err
		}
	}
	if err := s.release(); err != nil || over {
		return err
	}
	for !over {
		if err := w.Wait(ctx, 250*time.Millisecond); err != nil {
			return err
		}
		over = ended() || !q.Until.IsZero() && time.Now().After(q.Until)
		if err := readAll(r, l); err != nil {
			return err
		}
	}
	return l.Flush()
}

// readAll reads all pieces that are there.
func readAll(r *Reader, l *Lines) error {
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.Add(p); err != nil {
			return err
		}
	}
}

// selection holds lines back as long as only the last ones are wanted.
type selection struct {
	q    Query
	emit func(Line) error
	kept []Line
	open bool // the tail was given out: what comes is new
}

func (s *selection) line(l Line) error {
	if !s.q.Since.IsZero() && l.Time.Before(s.q.Since) || !s.q.Until.IsZero() && l.Time.After(s.q.Until) {
		return nil
	}
	if s.open || s.q.Tail < 0 {
		return s.emit(l)
	}
	s.kept = append(s.kept, l)
	if len(s.kept) > 2*s.q.Tail+64 {
		s.kept = append([]Line(nil), s.kept[len(s.kept)-s.q.Tail:]...)
	}
	return nil
}

func (s *selection) release() error {
	s.open = true
	for _, l := range s.kept[max(len(s.kept)-max(s.q.Tail, 0), 0):] {
		if err := s.emit(l); err != nil {
			return err
		}
	}
	s.kept = nil
	return nil
}
