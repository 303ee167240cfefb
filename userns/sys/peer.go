package sys

import "golang.org/x/sys/unix"

// Unread is the number of bytes that were sent on a socket and not yet read by its peer (SIOCOUTQ, unix(7)).
func Unread(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.SIOCOUTQ) }

// HungUp tells whether a socket's peer has gone for good, not only said that it will send nothing more (POLLHUP, poll(2)).
func HungUp(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	n, err := Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}
