package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// The write end of an input that is to end with its first client (StdinOnce) is held by the server alone: whoever attaches
// gets it, and the server keeps none, so that the client's end is the input's.

// takeStdin gives the write end away; nil where there is none any more.
func (g *Guest) takeStdin() *os.File {
	g.stdinMu.Lock()
	defer g.stdinMu.Unlock()
	f := g.stdin
	g.stdin = nil
	return f
}

// handStdin answers with a container's input.
func (s *Server) handStdin(f *os.File, id string, r reply) {
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	var in *os.File
	if j != nil {
		in = j.guest.Load().takeStdin()
	}
	if in == nil {
		r.Error = "the container's input belongs to somebody else"
		_ = send(f, r)
		return
	}
	defer in.Close()
	_ = sendFile(f, r, in)
}

// sendFile sends a message with a descriptor beside it.
func sendFile(f *os.File, v any, file *os.File) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	to, err := f.SyscallConn()
	if err != nil {
		return err
	}
	from, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = from.Control(func(fd uintptr) {
		rights := syscall.UnixRights(int(fd))
		inner = to.Write(func(s uintptr) bool {
			err := syscall.Sendmsg(int(s), b, rights, nil, syscall.MSG_NOSIGNAL)
			return !errors.Is(err, syscall.EAGAIN)
		})
	})
	return errors.Join(err, inner)
}

// TakeStdin takes the write end of a running container's input from the supervisor. The caller closes it, which ends the
// input. An error where another client has it, or another process serves the container.
func (c *Client) TakeStdin(_ context.Context, id string) (*os.File, error) {
	f, err := dial(c.Dirs.Supervisor())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := send(f, request{V: protocolVersion, Op: "stdin", ID: id}); err != nil {
		return nil, err
	}
	fd := int(f.Fd())
	limit := syscall.NsecToTimeval(int64(startTimeout / time.Nanosecond))
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit); err != nil {
		return nil, err
	}
	b, oob := make([]byte, messageMax), make([]byte, syscall.CmsgSpace(4))
	n, oobn, _, _, err := syscall.Recvmsg(fd, b, oob, syscall.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return stdinOf(b[:n], oob[:oobn])
}

// stdinOf is the descriptor of an answer.
func stdinOf(b, oob []byte) (*os.File, error) {
	msgs, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	if len(msgs) == 0 {
		var r reply
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, err
		}
		if r.Error == "" {
			return nil, errors.New("the container's input did not come")
		}
		return nil, r.err()
	}
	fds, err := syscall.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("receiving the container's input: %w", errors.Join(err, syscall.EPROTO))
	}
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		syscall.Close(fds[0])
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "stdin"), nil
}
