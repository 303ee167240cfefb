package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/userns/sys"
)

// An EventQuery says which events are wanted. With neither time only those that come from now on are.
type EventQuery struct {
	Since, Until time.Time
}

// Events calls emit for each event in its order, until Until, the end of ctx or an error of emit. The file may be renamed
// by whoever finds it too long: the old one is read to its end first.
func (e *Engine) Events(ctx context.Context, q EventQuery, emit func(sandbox.Event) error) error {
	l := &eventLog{path: e.Dirs.Data + "/events", q: q, emit: emit, start: time.Now()}
	defer l.close()
	watch, err := sys.WatchDir(e.Dirs.Data) // before the first look: nothing is missed
	if err != nil {
		watch = -1
	}
	defer sys.Close(watch)
	past := !q.Since.IsZero() || !q.Until.IsZero()
	if past {
		if err := l.drain(l.path + ".1"); err != nil {
			return err
		}
	}
	if err := l.open(!past); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := l.read(); err != nil {
			return err
		}
		if !q.Until.IsZero() && !time.Now().Before(q.Until) {
			return nil
		}
		await(watch, q.Until)
		if err := l.turn(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// await waits for a change of the data root, half a second at most, where it cannot be watched less.
func await(watch int, until time.Time) {
	wait := 500 * time.Millisecond
	if !until.IsZero() {
		wait = max(min(wait, time.Until(until)), 0)
	}
	if watch < 0 {
		time.Sleep(min(wait, 50*time.Millisecond))
		return
	}
	sys.AwaitChange(watch, int(wait/time.Millisecond)+1)
}

// eventLog is the events file, read as it grows.
type eventLog struct {
	path  string
	q     EventQuery
	emit  func(sandbox.Event) error
	start time.Time
	f     *os.File
	half  []byte // of a line whose end is not written yet
}

func (l *eventLog) close() {
	if l.f != nil {
		l.f.Close()
	}
}

// open opens the file if it is there, at its end if the past is not wanted.
func (l *eventLog) open(atEnd bool) error {
	f, err := os.Open(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l.f, l.half = f, nil
	if atEnd {
		_, err = f.Seek(0, io.SeekEnd)
	}
	return err
}

// drain reads another file to its end.
func (l *eventLog) drain(path string) error {
	other := &eventLog{path: path, q: l.q, emit: l.emit}
	defer other.close()
	if err := other.open(false); err != nil {
		return err
	}
	return other.read()
}

// turn goes on to a new file where the old one was renamed, or where there was none.
func (l *eventLog) turn() error {
	if l.f == nil {
		return l.open(false)
	}
	have, err1 := l.f.Stat()
	now, err2 := os.Stat(l.path)
	if err1 != nil || err2 != nil || os.SameFile(have, now) {
		return nil
	}
	if err := l.read(); err != nil {
		return err
	}
	l.close()
	return l.open(false)
}

// read hands on what is there.
func (l *eventLog) read() error {
	if l.f == nil {
		return nil
	}
	r := bufio.NewReader(l.f)
	for {
		b, err := r.ReadBytes('\n')
		l.half = append(l.half, b...)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.line(l.half); err != nil {
			return err
		}
		l.half = l.half[:0]
	}
}

func (l *eventLog) line(b []byte) error {
	var ev sandbox.Event
	if json.Unmarshal(b, &ev) != nil { // a write that a full disk cut off
		return nil
	}
	if ev.Time.Before(l.q.Since) || !l.q.Until.IsZero() && ev.Time.After(l.q.Until) {
		return nil
	}
	return l.emit(ev)
}
