package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns"
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
}

// Look reads a container and corrects what its files say by what the kernel says. It takes no lock and waits for nobody.
func (s *Sandbox) Look() (*Snapshot, error) {
	sp, err := s.Spec()
	if err != nil {
		return nil, err
	}
	st, err := s.readState()
	if err != nil {
		return nil, err
	}
	n := &Snapshot{Sandbox: s, Spec: sp, State: st}
	switch st.Status {
	case Running, Paused, Restarting:
		n.correct()
	case Created, Exited, Removing, Dead:
	}
	return n, nil
}

// correct compares "running" with the kernel.
func (n *Snapshot) correct() {
	st := &n.State
	if st.Where.Foreign() {
		n.Foreign = true
		return
	}
	if st.Guest.Alive() {
		n.Unsettled = !n.Served()
		return
	}
	if n.Served() { // between the end and its record, or between two runs
		return
	}
	if n.locked("alive") && n.zombie() {
		n.Unsettled = true
		return
	}
	n.Unsettled = true
	n.gone()
}

// zombie takes the exit status from the guest's zombie; false if there is none.
func (n *Snapshot) zombie() bool {
	if n.State.Guest.Where != userns.Here() {
		return false
	}
	ps, err := userns.ReadStat(n.State.Guest.PID)
	if err != nil || ps.Start != n.State.Guest.Start || ps.State != 'Z' {
		return false
	}
	n.State.Status, n.State.ExitCode = Exited, Code(ps.Status)
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

// outcomeSize is the room that alive has for the outcome. It is written when the container starts, so that recording an end
// needs no space on a full disk.
const outcomeSize = 64

// OpenAlive makes the lock file of a new run and returns it unlocked.
func (s *Sandbox) OpenAlive() (*os.File, error) {
	f, err := os.OpenFile(s.path("alive"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{' '}, outcomeSize), 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
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
