package supervisor

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/guest"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Adopt takes over a container that runs, or whose end nobody has recorded, from a server that died. Served is the right
// to serve it. os.ErrProcessDone when neither the first process nor its zombie is there any more; another error
// says nothing about them.
func (e *Env) Adopt(c *sandbox.Snapshot, served *os.File) (*Guest, error) {
	g := &Guest{env: e, snap: c, served: served, log: newLog(c)}
	fd, err := c.State.Guest.Open()
	if err != nil {
		return nil, err
	}
	g.pidfd = fd
	g.noteNamespace(true)
	if err := g.reopen(); err != nil && c.State.Holder.Alive() { // one killed meanwhile is none
		g.closeFiles()
		return nil, fmt.Errorf("taking over container %s: %w", c.ID[:12], err)
	}
	return g, nil
}

// reopen gets the holder's descriptors. Without a holder the output is lost, but the end can still be waited for.
func (g *Guest) reopen() error {
	h := g.snap.State.Holder
	fd, err := h.Open()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if g.snap.Spec.Process.TTY {
		m, err := sys.PidfdGetfd(fd, guest.HolderMaster)
		if err != nil {
			return fmt.Errorf("taking over the terminal: %w", err)
		}
		g.master, err = checkMaster(m)
		return err
	}
	for _, f := range []struct {
		to    **os.File
		n     int
		flags int
		want  bool
	}{
		{&g.stdout, guest.HolderStdout, syscall.O_RDONLY | syscall.O_NONBLOCK, true},
		{&g.stderr, guest.HolderStderr, syscall.O_RDONLY | syscall.O_NONBLOCK, true},
		{&g.stdin, guest.HolderStdin, syscall.O_WRONLY | syscall.O_NONBLOCK, g.snap.Spec.Process.Stdin && !g.snap.Spec.Process.StdinOnce},
	} {
		if !f.want {
			continue
		}
		if *f.to, err = OpenHeld(h, f.n, f.flags); err != nil {
			return err
		}
	}
	return nil
}

// OpenHeld opens a pipe that a holder keeps, by its number.
func OpenHeld(holder userns.Process, n, flags int) (*os.File, error) {
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", holder.PID, n), flags, 0)
	if err != nil {
		return nil, fmt.Errorf("opening what the container's holder keeps: %w", err)
	}
	if !holder.Alive() { // the number may have been somebody else's
		f.Close()
		return nil, os.ErrProcessDone
	}
	return f, nil
}

// OpenStdin opens the write end of a running container's input, which its holder keeps.
func OpenStdin(c *sandbox.Snapshot) (*os.File, error) {
	return OpenHeld(c.State.Holder, guest.HolderStdin, os.O_WRONLY)
}

// TakeMaster takes the terminal's master of a running container.
func TakeMaster(c *sandbox.Snapshot) (*os.File, error) {
	fd, err := c.State.Holder.Open()
	if err != nil {
		return nil, errors.Join(os.ErrProcessDone, err)
	}
	defer syscall.Close(fd)
	m, err := sys.PidfdGetfd(fd, guest.HolderMaster)
	if err != nil {
		return nil, err
	}
	return checkMaster(m)
}
