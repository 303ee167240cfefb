package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// LockWait is how long a step of one container's life waits for another one.
const LockWait = 5 * time.Second

// A busyError says who holds a lock.
type busyError struct {
	what string
	pid  int
	stop bool
}

func (e *busyError) Error() string {
	s := e.what + " is held"
	if e.pid != 0 {
		s += " by process " + strconv.Itoa(e.pid)
	}
	if e.stop {
		s += " (stopped)"
	}
	return s
}

func (e *busyError) Hints() []string {
	if e.stop {
		return []string{"let it go on with: kill -CONT " + strconv.Itoa(e.pid)}
	}
	return nil
}

// ErrBusy is what errors.Is finds in a lock that could not be had in time.
var ErrBusy = errors.New("busy")

func (e *busyError) Is(target error) bool { return target == ErrBusy }

// workWait is how much longer than LockWait a step waits for another that is slow, but not stopped: on a busy machine a start
// may take that long.
const workWait = 20 * time.Second

// Lock takes the container's lock for one step of its life; it waits LockWait for a process that is stopped, and workWait more
// for one that works. The file is given back by closing it.
func (s *Sandbox) Lock(ctx context.Context) (*os.File, error) {
	f, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	deadline := start.Add(LockWait)
	for pause := 200 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if err = sys.LockOFD(int(f.Fd())); err == nil {
			break
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			if why := busy("container "+s.ID[:12], s.path("lock")); why.stop || time.Since(start) > LockWait+workWait || ctx.Err() != nil {
				f.Close()
				return nil, why
			}
			deadline = time.Now().Add(LockWait) // who works may take longer; looking through all processes costs too much to be done more often
		}
		time.Sleep(pause)
	}
	if _, err := os.Lstat(s.path("lock")); err != nil { // removed while we waited
		f.Close()
		return nil, os.ErrNotExist
	}
	return f, nil
}

// busy finds out who holds a file's lock from /proc/locks; open-file-description locks have no pid there, so the process
// that has the file open is looked for.
func busy(what, path string) *busyError {
	e := &busyError{what: what}
	pids := openers(path)
	if len(pids) == 0 {
		return e
	}
	e.pid = pids[0]
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(e.pid) + "/stat")
	if i := strings.LastIndexByte(string(b), ')'); i > 0 && len(b) > i+2 {
		e.stop = b[i+2] == 'T'
	}
	return e
}

func hasOpen(pid string, want syscall.Stat_t) bool {
	fds, err := os.ReadDir("/proc/" + pid + "/fd")
	if err != nil {
		return false
	}
	for _, fd := range fds {
		var st syscall.Stat_t
		if syscall.Stat("/proc/"+pid+"/fd/"+fd.Name(), &st) == nil && st.Ino == want.Ino && st.Dev == want.Dev {
			return true
		}
	}
	return false
}

// TryServe takes the right to serve the container, or says ErrBusy at once. The file is given back by closing it.
func (s *Sandbox) TryServe() (*os.File, error) {
	f, err := os.OpenFile(s.path("served"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := sys.LockOFD(int(f.Fd())); err != nil {
		f.Close()
		return nil, fmt.Errorf("serving %q: %w", s.ID, ErrBusy)
	}
	return f, nil
}

// Served tells whether some process serves the container.
func (s *Sandbox) Served() bool { return s.locked("served") }

// locked tells whether somebody else holds the lock on a file.
func (s *Sandbox) locked(name string) bool {
	f, err := os.Open(s.path(name)) // looking needs no right to write: the data root may be read-only
	if err != nil {
		return false
	}
	defer f.Close()
	held, err := sys.LockedOFD(int(f.Fd()))
	return err == nil && held
}
