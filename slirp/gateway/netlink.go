package gateway

import (
	"encoding/binary"
	"fmt"
	"sync"
	"syscall"
)

// batch is a list of netlink messages that are sent together (netlink(7)). Integers are in the machine's order unless a
// method says otherwise.
type batch struct {
	b     []byte
	begin int // of the current message
	whats []string
	acks  int
}

// start begins a message; what names it in errors. extra are flags beside NLM_F_REQUEST.
func (m *batch) start(what string, kind, extra uint16, header []byte) *batch {
	m.finish()
	m.begin = len(m.b)
	m.whats = append(m.whats, what)
	if extra&syscall.NLM_F_ACK != 0 {
		m.acks++
	}
	m.b = binary.NativeEndian.AppendUint32(m.b, 0)
	m.b = binary.NativeEndian.AppendUint16(m.b, kind)
	m.b = binary.NativeEndian.AppendUint16(m.b, syscall.NLM_F_REQUEST|extra)
	m.b = append(m.b, make([]byte, 8)...) // sequence, port
	m.b = append(m.b, header...)
	return m
}

// finish writes the current message's length and number.
func (m *batch) finish() {
	if len(m.whats) == 0 {
		return
	}
	binary.NativeEndian.PutUint32(m.b[m.begin:], uint32(len(m.b)-m.begin))
	binary.NativeEndian.PutUint32(m.b[m.begin+8:], uint32(len(m.whats)))
}

// attr appends an attribute with its padding.
func (m *batch) attr(kind uint16, data []byte) *batch {
	m.b = binary.NativeEndian.AppendUint16(m.b, uint16(4+len(data)))
	m.b = binary.NativeEndian.AppendUint16(m.b, kind)
	m.b = append(m.b, data...)
	for len(m.b)%4 != 0 {
		m.b = append(m.b, 0)
	}
	return m
}

func (m *batch) u32(kind uint16, v uint32) *batch {
	return m.attr(kind, binary.NativeEndian.AppendUint32(nil, v))
}

// be32 is an attribute in network order, as nf_tables wants its numbers.
func (m *batch) be32(kind uint16, v uint32) *batch {
	return m.attr(kind, binary.BigEndian.AppendUint32(nil, v))
}

func (m *batch) str(kind uint16, s string) *batch { return m.attr(kind, append([]byte(s), 0)) }

// nest appends an attribute whose content f writes.
func (m *batch) nest(kind uint16, f func()) *batch {
	at := len(m.b)
	m.b = binary.NativeEndian.AppendUint16(m.b, 0)
	m.b = binary.NativeEndian.AppendUint16(m.b, kind|nestedFlag)
	f()
	binary.NativeEndian.PutUint16(m.b[at:], uint16(len(m.b)-at))
	return m
}

// raw appends bytes inside the current message.
func (m *batch) raw(p []byte) *batch { m.b = append(m.b, p...); return m }

// netlink is a netlink socket. It acts on the network namespace it was opened in, from whatever thread it is used.
type netlink struct {
	mu sync.Mutex
	fd int
}

// openNetlink opens a socket of the calling thread's network namespace. It blocks in do only for the kernel's answer.
func openNetlink(proto int) (*netlink, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("binding a netlink socket: %w", err)
	}
	return &netlink{fd: fd}, nil
}

func (c *netlink) close() { syscall.Close(c.fd) }

// do sends the batch and waits for its acknowledgements; the error is that of the first message refused. each, if not
// nil, is given every other message that arrives before.
func (c *netlink) do(m *batch, each func(kind uint16, body []byte)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.finish()
	if err := syscall.Sendto(c.fd, m.b, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return fmt.Errorf("sending netlink messages: %w", err)
	}
	var first error
	buf := make([]byte, 32<<10)
	for left := m.acks; left > 0; {
		n, _, err := syscall.Recvfrom(c.fd, buf, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading netlink answers: %w", err)
		}
		done, err := m.answers(buf[:n], each)
		if first == nil {
			first = err
		}
		left -= done
		if err != nil && m.transaction() {
			return err // the kernel undoes all of it and may answer nothing more
		}
	}
	return first
}

func (m *batch) transaction() bool { return len(m.whats) > 0 && m.whats[0] == transactionBegins }

// answers reads one datagram of answers: how many acknowledgements were in it, and the first error.
func (m *batch) answers(p []byte, each func(uint16, []byte)) (done int, first error) {
	for len(p) >= syscall.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(p))
		if size < syscall.NLMSG_HDRLEN || size > len(p) {
			return done, fmt.Errorf("netlink answer of %d bytes where %d are left", size, len(p))
		}
		kind, seq := binary.NativeEndian.Uint16(p[4:]), int(binary.NativeEndian.Uint32(p[8:]))
		body := p[syscall.NLMSG_HDRLEN:size]
		switch {
		case kind == syscall.NLMSG_ERROR && len(body) >= 4:
			done++
			if e := syscall.Errno(-int32(binary.NativeEndian.Uint32(body))); e != 0 && first == nil {
				first = fmt.Errorf("%s: %w", m.what(seq), e)
			}
		case each != nil:
			each(kind, body)
		}
		p = p[min(len(p), (size+3)&^3):]
	}
	return done, first
}

func (m *batch) what(seq int) string {
	if seq < 1 || seq > len(m.whats) {
		return "netlink"
	}
	return m.whats[seq-1]
}

// attributes calls f for each attribute of p; malformed ends are ignored.
func attributes(p []byte, f func(kind uint16, data []byte)) {
	for len(p) >= 4 {
		n := int(binary.NativeEndian.Uint16(p))
		if n < 4 || n > len(p) {
			return
		}
		f(binary.NativeEndian.Uint16(p[2:])&^uint16(nestedFlag), p[4:n])
		p = p[min(len(p), (n+3)&^3):]
	}
}
