package output

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// A Stream is where a piece of output came from.
type Stream uint64

// The streams. Dropped marks bytes that found no room on the disk.
const (
	Stdout  Stream = 1
	Stderr  Stream = 2
	Dropped Stream = 3
)

const recordSize = 24

// fullDiskWait is how long the container waits for room before its output is dropped and counted.
const fullDiskWait = time.Second

// A Writer moves output into the log. It is safe for the goroutines of both streams.
type Writer struct {
	Dir     string // the container's directory
	MaxSize int64  // bytes after which the files are rotated; 0 for never
	MaxFile int    // files kept, at least 1
	Discard bool   // nothing is kept (log driver none)

	mu      sync.Mutex
	log     *os.File
	index   *os.File
	off     int64
	dropped int64
}

// open opens the files at the first byte of output, and new ones when they are large enough.
func (w *Writer) open() error {
	if w.log != nil {
		if err := w.rotate(); err != nil || w.log != nil {
			return err
		}
	}
	log, err := os.OpenFile(w.Dir+"/log", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	index, err := os.OpenFile(w.Dir+"/index", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		log.Close()
		return err
	}
	st, err := log.Stat()
	if err != nil {
		log.Close()
		index.Close()
		return err
	}
	w.log, w.index, w.off = log, index, st.Size()
	return nil
}

// Close closes the files.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.log == nil {
		return nil
	}
	err := errors.Join(w.log.Close(), w.index.Close())
	w.log, w.index = nil, nil
	return err
}

// Move splices what is in the pipe, at most limit bytes, to the log, and then copies it to also, if any. It returns EAGAIN
// when the pipe is empty and 0 at its end. An error of also is returned as *SinkError; the log has the bytes then.
func (w *Writer) Move(pipe int, s Stream, limit int, also *os.File) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ok, err := waiting(pipe); err != nil || !ok {
		return 0, err
	}
	if w.Discard {
		return drain(pipe, limit, also)
	}
	at, n, err := w.splice(pipe, s, limit)
	if err != nil || n == 0 {
		return n, err
	}
	if also != nil {
		if err := copyRange(also, w.log, at, n); err != nil {
			return n, &SinkError{err}
		}
	}
	return n, nil
}

// A SinkError says that output reached the log but not whoever else wanted it.
type SinkError struct{ Err error }

func (e *SinkError) Error() string { return "writing output: " + e.Err.Error() }
func (e *SinkError) Unwrap() error { return e.Err }

// waiting tells whether the pipe has bytes; EAGAIN when it is empty but open, false at its end.
func waiting(pipe int) (bool, error) {
	p := []sys.PollFd{{Fd: int32(pipe), Events: sys.PollIn}}
	if _, err := sys.Poll(p, 0); err != nil {
		return false, err
	}
	switch {
	case p[0].Revents&sys.PollIn != 0:
		return true, nil
	case p[0].Revents == 0:
		return false, syscall.EAGAIN
	}
	return false, nil
}

func (w *Writer) splice(pipe int, s Stream, limit int) (at, n int64, err error) {
	deadline := time.Time{}
	for {
		if err = w.open(); err == nil {
			if err = w.record(s, time.Now()); err == nil {
				at = w.off
				off := w.off
				n, err = sys.Splice(pipe, int(w.log.Fd()), &off, limit)
				w.off += max(n, 0)
			}
		}
		if !full(err) {
			return at, n, err
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(fullDiskWait)
		}
		if time.Now().After(deadline) {
			m, err := drain(pipe, limit, nil)
			w.dropped += m
			return at, 0, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// record appends an index record for the piece that comes next; before it, the count of what was dropped.
func (w *Writer) record(s Stream, at time.Time) error {
	var b []byte
	if w.dropped > 0 {
		b = appendRecord(b, at, w.dropped, Dropped)
	}
	b = appendRecord(b, at, w.off, s)
	if _, err := w.index.Write(b); err != nil {
		return err
	}
	w.dropped = 0
	return nil
}

func appendRecord(b []byte, at time.Time, off int64, s Stream) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(at.UnixNano()))
	b = binary.LittleEndian.AppendUint64(b, uint64(off))
	return binary.LittleEndian.AppendUint64(b, uint64(s))
}

// drain throws bytes of a pipe away, or gives them to also.
func drain(pipe, limit int, also *os.File) (int64, error) {
	buf := make([]byte, min(limit, 64<<10))
	n, err := syscall.Read(pipe, buf)
	if n > 0 && also != nil {
		if _, err := also.Write(buf[:n]); err != nil {
			return int64(n), &SinkError{err}
		}
	}
	return max(int64(n), 0), err
}

// copyRange copies a piece of the log that is in the page cache.
func copyRange(dst, src *os.File, at, n int64) error {
	buf := make([]byte, min(n, 64<<10))
	for n > 0 {
		m, err := src.ReadAt(buf[:min(n, int64(len(buf)))], at)
		if m == 0 && err != nil {
			return err
		}
		if _, err := dst.Write(buf[:m]); err != nil {
			return err
		}
		at, n = at+int64(m), n-int64(m)
	}
	return nil
}

// Append writes bytes that were read from a terminal.
func (w *Writer) Append(b []byte, s Stream) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Discard || len(b) == 0 {
		return nil
	}
	if err := w.open(); err != nil {
		return err
	}
	if err := w.record(s, time.Now()); err != nil {
		return err
	}
	n, err := w.log.WriteAt(b, w.off)
	w.off += int64(n)
	w.dropped += int64(len(b) - n)
	return err
}

// rotate renames the files when they are large enough. Log first, then index: a reader that finds a log without an index
// takes it as one piece of stdout.
func (w *Writer) rotate() error {
	if w.MaxSize <= 0 || w.off < w.MaxSize {
		return nil
	}
	for i := w.MaxFile - 1; i >= 1; i-- {
		from := ""
		if i > 1 {
			from = "." + strconv.Itoa(i-1)
		}
		for _, f := range []string{"/index", "/log"} {
			err := os.Rename(w.Dir+f+from, w.Dir+f+"."+strconv.Itoa(i))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("rotating the log: %w", err)
			}
		}
	}
	if w.MaxFile <= 1 {
		for _, f := range []string{"/index", "/log"} {
			_ = os.Remove(w.Dir + f)
		}
	}
	err := errors.Join(w.log.Close(), w.index.Close())
	w.log, w.index, w.off = nil, nil, 0
	return err
}
