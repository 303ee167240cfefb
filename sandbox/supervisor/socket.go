package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// protocolVersion is the version of the messages between clients and the supervisor.
const protocolVersion = 1

// messageMax is the size of the largest message.
const messageMax = 64 << 10

// address returns the socket's address. A path that is too long for one goes through a descriptor of its directory, which
// the caller closes.
func address(path string) (*syscall.SockaddrUnix, func(), error) {
	if len(path) < 100 {
		return &syscall.SockaddrUnix{Name: path}, func() {}, nil
	}
	i := len(path) - 1
	for path[i] != '/' {
		i--
	}
	d, err := os.Open(path[:i])
	if err != nil {
		return nil, nil, err
	}
	return &syscall.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(int(d.Fd())) + path[i:]}, func() { d.Close() }, nil
}

// listen makes the supervisor's socket, for this user alone.
func listen(path string) (*os.File, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("making the supervisor's socket: %w", err)
	}
	sa, done, err := address(path)
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	defer done()
	_ = os.Remove(path)
	if err = syscall.Bind(fd, sa); err == nil {
		if err = os.Chmod(path, 0o600); err == nil {
			err = syscall.Listen(fd, 128)
		}
	}
	if err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("making the supervisor's socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "supervisor"), nil
}

// dial connects to the supervisor; ENOENT or ECONNREFUSED when there is none.
func dial(path string) (*os.File, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	sa, done, err := address(path)
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	defer done()
	if err := syscall.Connect(fd, sa); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "supervisor"), nil
}

// accept waits for a connection.
func accept(ln *os.File) (*os.File, error) {
	c, err := ln.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var inner error
	err = c.Read(func(s uintptr) bool {
		fd, _, inner = syscall.Accept4(int(s), syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK)
		return !errors.Is(inner, syscall.EAGAIN)
	})
	if err = errors.Join(err, inner); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "client"), nil
}

// peer tells who is at the other end: only this user is answered (SO_PEERCRED, unix(7)).
func peer(f *os.File) (uid uint32, err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var inner error
	err = c.Control(func(fd uintptr) {
		cred, inner = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, inner); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// request is what a client asks.
type request struct {
	V    int       `json:"v"`
	Op   string    `json:"op"` // start, ping, stdin, or an Act
	ID   string    `json:"id,omitempty"`
	Body []byte    `json:"body,omitempty"` // of an Act
	Size [4]uint16 `json:"size,omitzero"`
}

// reply is what it gets.
type reply struct {
	V     int    `json:"v"`
	Error string `json:"error,omitempty"`
	Code  int    `json:"code,omitempty"` // of a command that could not be executed
	Hint  string `json:"hint,omitempty"`
	PID   int    `json:"pid,omitempty"` // the supervisor's
	Body  []byte `json:"body,omitempty"`
}

func send(f *os.File, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return err
}

func receive(f *os.File, v any) error {
	b := make([]byte, messageMax)
	n, err := f.Read(b)
	if err != nil {
		return err
	}
	return json.Unmarshal(b[:n], v)
}

// requestTimeout is how long a client may take to say what it wants.
const requestTimeout = 5 * time.Second
