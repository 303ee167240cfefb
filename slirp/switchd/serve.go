package switchd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/reactor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// listen opens the socket under a temporary name and renames it, so that it is there whole or not at all.
func (s *service) listen() error {
	path := filepath.Join(s.cfg.Dir, SocketName)
	fd, err := sys.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	if err != nil {
		return fmt.Errorf("opening the switch's socket: %w", err)
	}
	os.Remove(path + ".new") //nolint:errcheck // bind tells
	err = atSocket(path+".new", func(name string) error { return syscall.Bind(fd, &syscall.SockaddrUnix{Name: name}) })
	if err == nil {
		err = os.Chmod(path+".new", 0o600)
	}
	if err == nil {
		err = syscall.Listen(fd, 64)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		syscall.Close(fd)
		return fmt.Errorf("opening the switch's socket %q: %w", path, err)
	}
	var added error
	cerr := s.host.Call(func() {
		added = s.host.Add(fd, sys.EpollIn, reactor.Func(func(uint32) { s.accept(fd) }))
		s.accept(fd)
	})
	if cerr != nil {
		return cerr
	}
	return added
}

func (s *service) accept(listener int) {
	for {
		fd, _, err := syscall.Accept4(listener, syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK)
		if err == syscall.EINTR || err == syscall.ECONNABORTED {
			continue
		}
		if err != nil {
			return
		}
		c := &conversation{service: s, fd: fd}
		if err := s.host.Add(fd, sys.EpollIn|sys.EpollRdHup, c); err != nil {
			syscall.Close(fd)
		}
	}
}

// conversation is a client. Its requests are answered one after the other.
type conversation struct {
	*service
	fd   int
	busy bool
}

// Ready reads a request and has it answered outside the loop, since it may wait for the loop.
func (c *conversation) Ready(uint32) {
	if c.busy {
		return
	}
	var q request
	files, err := receive(c.fd, &q)
	if err == syscall.EAGAIN {
		return
	}
	if err != nil {
		c.host.RemoveAndClose(c.fd)
		return
	}
	c.busy = true
	go func() {
		r := c.handle(&q, files)
		c.host.Post(func() {
			c.busy = false
			send(c.fd, r) //nolint:errcheck // the client has gone; the next read tells
			c.Ready(0)
		})
	}()
}

func (c *conversation) handle(q *request, files []int) *reply {
	r := &reply{Version: Version}
	if err := c.perform(q, files, r); err != nil {
		r.Fault = faultOf(err)
	}
	return r
}

// perform does what is asked and owns the descriptors.
func (c *conversation) perform(q *request, files []int, r *reply) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		closeAll(files)
		return ErrGone
	}
	if q.Version != Version {
		closeAll(files)
		return fmt.Errorf("request of version %d, this switch speaks %d", q.Version, Version)
	}
	if q.Op == "attach" {
		r.Endpoint, err = c.performAttach(q, files)
		return err
	}
	closeAll(files)
	switch q.Op {
	case "detach":
		err := c.detach(q.Container, q.NetworkID)
		c.reap()
		return errors.Join(err, c.save())
	case "publish":
		r.Ports, err = c.publish(q.Container, q.Ports)
		return err
	case "unpublish":
		return c.unpublish(q.Container, q.Ports)
	case "promote":
		r.Ports, err = c.promote(q.Container, q.NetworkID, q.Ports)
		return err
	case "rename":
		return c.rename(q.Container, q.Name)
	case "list":
		r.Endpoints = c.list()
		return nil
	case "status":
		r.Status = c.status()
		return nil
	case "probe":
		r.Status = c.status()
		r.Status.Ability = c.probe()
		return nil
	case "stop":
		c.host.Post(func() { go func() { c.mu.Lock(); defer c.mu.Unlock(); c.end() }() }) // after the reply
		return nil
	}
	return fmt.Errorf("this switch does not know the request %q", q.Op)
}

func (c *conversation) performAttach(q *request, files []int) (*slirp.Endpoint, error) {
	if q.Network == nil || q.Endpoint == nil || len(files) == 0 || len(files) > 2 {
		closeAll(files)
		return nil, fmt.Errorf("internal error: attach with %d descriptors", len(files))
	}
	return c.attach(*q.Network, *q.Endpoint, files[0], append(files, -1)[1])
}

func (s *service) list() (l []slirp.Endpoint) {
	for _, box := range s.containers {
		for _, e := range box.endpoints {
			l = append(l, e.value)
		}
	}
	return l
}

func (s *service) status() *Status {
	st := &Status{PID: os.Getpid(), Version: Version}
	for _, n := range s.networks {
		u := NetworkUse{ID: n.value.ID, Name: n.value.Name, Rung: string(n.gw.Rules), Containers: len(n.members)}
		if len(n.held) > 0 {
			u.Holder = n.held[0].Process.PID
		}
		st.Networks = append(st.Networks, u)
	}
	return st
}
