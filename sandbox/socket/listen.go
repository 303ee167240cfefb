package socket

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
)

// Path is where the socket is by default.
func Path(d *sandbox.Dirs) string { return d.Run + "/docker.sock" }

// maxPath is the longest address of a unix socket (unix(7)).
const maxPath = 107

// A TakenError says that a server answers on a socket already.
type TakenError struct{ Path string }

func (e *TakenError) Error() string { return fmt.Sprintf("the socket %q is served already", e.Path) }

// Hints tells how to use or end it.
func (e *TakenError) Hints() []string {
	return []string{"use it with DOCKER_HOST=unix://" + e.Path + ", or end it with 'moss env --unset'"}
}

// Listen makes the socket, for this user alone. What a server that was killed has left is replaced.
func Listen(path string) (*os.File, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("the socket's path %q is longer than %d bytes: choose another one with --socket", path, maxPath)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, &TakenError{path}
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("%q is there already and is no socket", path)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("making the API's socket: %w", err)
	}
	_ = os.Remove(path)
	if err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err == nil {
		if err = os.Chmod(path, 0o600); err == nil { // nobody can connect before listen(2)
			err = syscall.Listen(fd, 128)
		}
	}
	if err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("making the API's socket %q: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}
