package slirp

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"syscall"
)

// PortError is a published port that could not be bound. Its text is Docker's, its hints name the remedy.
type PortError struct {
	Host  netip.AddrPort
	Proto Proto
	Owner string // the container that holds the port, if it is one of ours
	Free  uint16 // a free port nearby, 0 if none is known
	Errno syscall.Errno
}

// Error is Docker's sentence for the cases that Docker knows.
func (e *PortError) Error() string {
	switch e.Errno {
	case syscall.EADDRINUSE:
		return fmt.Sprintf("Bind for %s failed: port is already allocated", e.Host)
	case syscall.EADDRNOTAVAIL:
		return fmt.Sprintf("listen %s %s: bind: cannot assign requested address", e.Proto, e.Host)
	}
	return fmt.Sprintf("listen %s %s: bind: %s", e.Proto, e.Host, e.Errno)
}

// Unwrap gives the kernel's errno.
func (e *PortError) Unwrap() error { return e.Errno }

// Hints names what a user can do.
func (e *PortError) Hints() []string {
	var l []string
	switch {
	case errors.Is(e.Errno, syscall.EADDRINUSE):
		if e.Owner != "" {
			l = append(l, "the port belongs to container "+strconv.Quote(e.Owner))
		}
		if e.Free != 0 {
			l = append(l, fmt.Sprintf("port %d is free: -p %d:…", e.Free, e.Free))
		}
	case errors.Is(e.Errno, syscall.EACCES):
		l = append(l, fmt.Sprintf("ports below %s need a privilege: publish another one, or ask the administrator for sysctl net.ipv4.ip_unprivileged_port_start=%d", "1024", e.Host.Port()))
	case errors.Is(e.Errno, syscall.EADDRNOTAVAIL):
		l = append(l, fmt.Sprintf("no interface of this machine has the address %s: see `ip addr`", e.Host.Addr()))
	}
	return l
}
