package supervisor

import (
	"errors"
	"fmt"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// joined opens the container whose namespaces are shared, if any. That one must run: its namespaces end with it.
func (b *birth) joined() error {
	what, id := SharedWith(&b.c.Spec.Host)
	if id == "" {
		return nil
	}
	other, err := b.c.Dirs().Open(id).Look()
	if err != nil {
		return fmt.Errorf("cannot join %s of container %s: %w", what, id, err)
	}
	if other.Foreign || other.State.Status != sandbox.Running && other.State.Status != sandbox.Paused {
		return fmt.Errorf("cannot join %s of a non running container: %s", what, id)
	}
	fd, err := other.State.Guest.Open()
	if err != nil {
		return fmt.Errorf("cannot join %s of a non running container: %s", what, id)
	}
	b.files.Join = b.keep(fd)
	return nil
}

// SharedWith is the container whose namespaces another one uses, and what it is called; "" for none.
func SharedWith(h *spec.Host) (what, id string) {
	for _, x := range []struct {
		what  string
		share spec.Share
	}{{"network", spec.Share(h.Network)}, {"PID", h.PID}, {"IPC", h.IPC}} {
		if id = x.share.Of(); id != "" {
			return x.what, id
		}
	}
	return "", ""
}

// errTwo is told where a container was to share namespaces of two others.
var errTwo = errors.New("a container can share the namespaces of one other container only")

// CheckShared makes sure that all that is shared belongs to one container.
func CheckShared(h *spec.Host) error {
	_, first := SharedWith(h)
	for _, s := range []spec.Share{spec.Share(h.Network), h.PID, h.IPC} {
		if id := s.Of(); id != "" && id != first {
			return errTwo
		}
	}
	return nil
}
