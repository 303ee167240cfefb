package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/sandbox/spec"
)

// A Snapshot is what can be said of a container now.
type Snapshot struct {
	*Sandbox
	Spec  *spec.Spec
	State State
	// Foreign: it runs, or ran when somebody last wrote, where this process cannot look. Hands off.
	Foreign bool
	// Unsettled: it has ended, or its server has, and nobody has recorded that yet. See supervisor.Recover.
	Unsettled bool
	// Orphan: it was being started when its server died, which could not record it any more; unsettled, too. It is ended.
	Orphan bool
}

// Look reads a container and corrects what its files say by what the kernel says. It takes no lock and waits for nobody.
func (s *Sandbox) Look() (*Snapshot, error) { return s.look(s.Served) }

// LookServing is Look for a process that has the right to serve the container itself.
func (s *Sandbox) LookServing() (*Snapshot, error) { return s.look(func() bool { return false }) }

// look reads and corrects; served tells whether somebody else serves the container.
func (s *Sandbox) look(served func() bool) (*Snapshot, error) {
	sp, err := s.Spec()
	if err != nil {
		return nil, err
	}
	st, err := s.readState()
	if err != nil {
		return nil, err
	}
	st.StoppedByUser = s.stopped()
	if sp.Health != nil {
		st.Health = s.readHealth()
	}
	n := &Snapshot{Sandbox: s, Spec: sp, State: st}
	switch st.Status {
	case Running, Paused, Restarting:
		n.correct(served)
		if n.State.Status == Running || n.State.Status == Paused {
			n.State.Status = n.pausedOr(Running)
		}
	case Created, Exited, Removing, Dead:
		n.Orphan = s.orphaned(served)
		n.Unsettled = n.Orphan
	}
	return n, nil
}

// correct compares "running" with the kernel.
func (n *Snapshot) correct(served func() bool) {
	st := &n.State
	if st.Where.Foreign() {
		n.Foreign = true
		return
	}
	if st.Guest.Alive() {
		n.Unsettled = !served()
		return
	}
	if served() { // between the end and its record, or between two runs
		return
	}
	n.Unsettled = true
	if !n.zombie() {
		n.gone()
	}
}

// zombie takes the exit status that the holder has recorded; false if there is none.
func (n *Snapshot) zombie() bool {
	ws, err := n.HolderSays()
	if err != nil {
		return false
	}
	n.State.Status, n.State.ExitCode = Exited, Code(ws)
	return true
}

// lost is the exit code of a container whose end nobody saw: the machine lost power, or every process of moss was killed.
const lost = 255

// gone: nothing of the container lives. What the last server wrote into the lock file, if anything, is the outcome.
func (n *Snapshot) gone() {
	n.State.Status, n.State.ExitCode = Exited, lost
	if code, oom, at, err := n.Outcome(); err == nil {
		n.State.ExitCode, n.State.OOMKilled, n.State.Finished = code, oom, at
	}
}

// Code is the exit code of a wait status as a shell and Docker have it.
func Code(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// The lock file has two records, whose room is there from the container's start on, so that recording an end needs no space
// on a full disk: the server's at its beginning, and the holder's (a siginfo_t) behind it.
const (
	outcomeSize = 64
	holderSize  = 128
)

// OpenAlive makes the lock file of a new run and returns it unlocked.
func (s *Sandbox) OpenAlive() (*os.File, error) {
	f, err := os.OpenFile(s.path("alive"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(make([]byte, outcomeSize+holderSize), 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// HolderSays reads how the first process ended, as its holder wrote it (siginfo_t of waitid(2)); an error before the end.
func (s *Sandbox) HolderSays() (syscall.WaitStatus, error) {
	f, err := os.Open(s.path("alive"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var b [holderSize]byte
	if _, err := f.ReadAt(b[:], outcomeSize); err != nil {
		return 0, err
	}
	const exited, killed, dumped = 1, 2, 3 // si_code
	status := syscall.WaitStatus(binary.LittleEndian.Uint32(b[24:]))
	switch binary.LittleEndian.Uint32(b[8:]) {
	case exited:
		return status & 0xff << 8, nil
	case killed:
		return status & 0x7f, nil
	case dumped:
		return status&0x7f | 0x80, nil
	}
	return 0, errors.New("its end is not recorded")
}

// RecordOutcome writes the outcome in place.
func (s *Sandbox) RecordOutcome(code int, oom bool, at time.Time) error {
	f, err := os.OpenFile(s.path("alive"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%-*s", outcomeSize, fmt.Sprintf("exit %d %t %d", code, oom, at.UnixNano()))
	return err
}

// Outcome reads it.
func (s *Sandbox) Outcome() (code int, oom bool, at time.Time, err error) {
	b, err := os.ReadFile(s.path("alive"))
	if err != nil {
		return 0, false, at, err
	}
	var ns int64
	if _, err = fmt.Sscanf(string(b), "exit %d %t %d", &code, &oom, &ns); err != nil {
		return 0, false, at, err
	}
	return code, oom, time.Unix(0, ns), nil
}

// MarkStopped records that the user wants the container stopped: its restart policy does not bring it back. The mark is a
// file of its own, since the state belongs to the server while it runs.
func (s *Sandbox) MarkStopped() error {
	f, err := os.OpenFile(s.path("stopped"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// ClearStopped takes the mark away: the container is started again.
func (s *Sandbox) ClearStopped() { _ = os.Remove(s.path("stopped")) }

// stopped tells whether the mark is there.
func (s *Sandbox) stopped() bool {
	_, err := os.Lstat(s.path("stopped"))
	return err == nil
}
