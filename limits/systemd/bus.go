package systemd

import (
	"bufio"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is the deadline of a call whose context has none.
const patience = 5 * time.Second

// Bus is a connection to a message bus. Its methods are for one goroutine at a time.
type Bus struct {
	socket *os.File
	r      *bufio.Reader
	serial uint32
	seen   func(message) // signals that arrive while a reply is awaited
}

// CallError is the refusal of a method by its peer.
type CallError struct {
	Member string // method
	Name   string // org.freedesktop.systemd1.UnitExists and the like
	Text   string
}

func (e *CallError) Error() string { return fmt.Sprintf("calling %s: %s", e.Member, e.Text) }

// Is tells D-Bus errors apart by the last word of their name.
func (e *CallError) Is(target error) bool {
	switch target {
	case ErrExists:
		return strings.HasSuffix(e.Name, ".UnitExists")
	case ErrNoUnit:
		return strings.HasSuffix(e.Name, ".NoSuchUnit")
	}
	return false
}

// Conditions a caller tells apart.
var (
	ErrExists = errors.New("the unit exists already")
	ErrNoUnit = errors.New("no such unit")
)

// Dial connects to the bus at a socket path and authenticates as this process's user. The caller closes it. A socket that is
// not there is os.ErrNotExist; a daemon that does not answer is os.ErrDeadlineExceeded.
func Dial(ctx context.Context, path string) (*Bus, error) {
	fd, err := connect(path)
	if err != nil {
		return nil, fmt.Errorf("connecting to bus %q: %w", path, err)
	}
	b := &Bus{socket: os.NewFile(uintptr(fd), path)}
	b.r = bufio.NewReader(b.socket)
	if err := b.start(ctx); err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("connecting to bus %q: %w", path, err)
	}
	return b, nil
}

// connect does without package net, whose start-up every command would pay.
func connect(path string) (int, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	for try := 0; ; try++ {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
		if err != syscall.EAGAIN && err != syscall.EINTR || try == 50 { // EAGAIN: its backlog is full (unix(7))
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Close ends the connection.
func (b *Bus) Close() error { return b.socket.Close() }

// start authenticates and says hello: the bus lets nobody speak before.
func (b *Bus) start(ctx context.Context) error {
	b.deadline(ctx)
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Getuid())))
	// A daemon that refuses may have closed before we have written (EPIPE): what it said is still there to be read.
	_, written := b.socket.WriteString("\x00AUTH EXTERNAL " + uid + "\r\n")
	line, err := b.r.ReadSlice('\n')
	if err != nil {
		return cmp.Or(written, err)
	}
	if !strings.HasPrefix(string(line), "OK ") {
		return fmt.Errorf("authentication answered with %q", line)
	}
	if _, err := b.socket.WriteString("BEGIN\r\n"); err != nil {
		return err
	}
	_, err = b.call(ctx, b.daemon("Hello", "", nil))
	return err
}

func (b *Bus) daemon(member, signature string, body []byte) method {
	return method{"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member, signature, body}
}

// deadline bounds what follows by the context's deadline, else by patience.
func (b *Bus) deadline(ctx context.Context) {
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(patience)
	}
	_ = b.socket.SetDeadline(end) // of a socket: cannot fail
}

// call sends and waits for the reply.
func (b *Bus) call(ctx context.Context, m method) (message, error) {
	if err := ctx.Err(); err != nil {
		return message{}, err
	}
	b.deadline(ctx)
	b.serial++
	if _, err := b.socket.Write(m.encode(b.serial)); err != nil {
		return message{}, fmt.Errorf("calling %s: %w", m.member, err)
	}
	for {
		got, err := receive(b.r)
		switch {
		case err != nil:
			return message{}, fmt.Errorf("calling %s: %w", m.member, err)
		case got.kind == signal && b.seen != nil:
			b.seen(got)
		case got.replyTo == b.serial && got.kind == methodFail:
			return message{}, &CallError{Member: m.member, Name: got.failure, Text: got.body.string()}
		case got.replyTo == b.serial && got.kind == methodDone:
			return got, nil
		}
	}
}
