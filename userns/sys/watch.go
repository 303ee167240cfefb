package sys

import "golang.org/x/sys/unix"

// WatchDir watches a directory for writes, renames and removals in it (inotify(7)).
func WatchDir(dir string) (int, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return -1, err
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MODIFY|unix.IN_MOVED_TO|unix.IN_CREATE|unix.IN_DELETE|unix.IN_DELETE_SELF|unix.IN_ONLYDIR); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// AwaitChange waits until something has changed since the last call, or for at most ms milliseconds.
func AwaitChange(fd, ms int) {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, _ := Poll(p, ms); n > 0 {
		var buf [4096]byte
		for {
			if n, err := unix.Read(fd, buf[:]); n <= 0 || err != nil {
				return
			}
		}
	}
}

// Close closes a descriptor; -1 is none.
func Close(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}
