package slirptest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// The world's TCP services, by port.
const (
	PortEcho   = 7    // TCP and UDP
	PortWho    = 9001 // says whom it sees
	PortReset  = 9002 // reads a byte and resets
	PortHalf   = 9003 // answers only after the end of what it is sent: "got N"
	PortSource = 9004 // sends 8 MiB and closes
	PortClosed = 9    // nothing listens
)

// world is the thread with the world's namespace.
type world struct {
	ready chan error
	calls chan func()
}

// serve opens the world's servers. It runs in the world's thread; the connections are handled anywhere.
func (w *world) serve() error {
	for port, f := range map[int]func(*net.TCPConn){PortEcho: echo, PortWho: who, PortReset: reset, PortHalf: half, PortSource: source, 53: dnsStream} {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		go acceptAll(l, f)
	}
	for port, f := range map[string]func([]byte) []byte{":7": func(b []byte) []byte { return b }, ":53": dnsAnswer} {
		c, err := net.ListenPacket("udp", port)
		if err != nil {
			return err
		}
		go answerAll(c, f)
	}
	return nil
}

func acceptAll(l net.Listener, f func(*net.TCPConn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { defer c.Close(); f(c.(*net.TCPConn)) }()
	}
}

func answerAll(c net.PacketConn, f func([]byte) []byte) {
	b := make([]byte, 65536)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			continue
		}
		if r := f(b[:n]); r != nil {
			c.WriteTo(r, from) //nolint:errcheck // a datagram may get lost
		}
	}
}

func echo(c *net.TCPConn) { io.Copy(c, c) } //nolint:errcheck // the other side tells

func who(c *net.TCPConn) { fmt.Fprintln(c, c.RemoteAddr()) }

func reset(c *net.TCPConn) {
	c.Read(make([]byte, 1)) //nolint:errcheck // the reset follows anyway
	c.SetLinger(0)          //nolint:errcheck // the test would see it
}

func half(c *net.TCPConn) {
	n, _ := io.Copy(io.Discard, c)
	fmt.Fprintf(c, "got %d", n)
}

func source(c *net.TCPConn) {
	b := make([]byte, 64<<10)
	for range 128 {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// dnsAnswer gives every name the address 192.0.2.53, and "big." a truncated answer over UDP.
func dnsAnswer(q []byte) []byte {
	if len(q) < 17 {
		return nil
	}
	r := append([]byte(nil), q...)
	r[2], r[3] = 0x81, 0x80
	if strings.Contains(string(q), "\x03big") {
		r[2] |= 2
		return r
	}
	return withRecord(r)
}

func withRecord(r []byte) []byte {
	end := 12
	for r[end] != 0 {
		end += int(r[end]) + 1
	}
	end += 5
	kind := binary.BigEndian.Uint16(r[end-4:])
	r = r[:end]
	r[10], r[11] = 0, 0 // no additional records
	if kind != 1 {
		return r
	}
	r[7] = 1
	return append(r, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 53)
}

func dnsStream(c *net.TCPConn) {
	for {
		var l [2]byte
		if _, err := io.ReadFull(c, l[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(l[:]))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		q[2], q[3] = 0x81, 0x80
		r := withRecord(q)
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(r))), r...)) //nolint:errcheck // the client tells
	}
}

// call is what a test asks of the world: to send Say to To and read the answer.
type call struct {
	Net, To, Say string
	Timeout      time.Duration
}

// said is what came of it.
type said struct{ Local, Got, Err string }

// control obeys the tests.
func (w *world) control(f *os.File) {
	b := make([]byte, 64<<10)
	for {
		n, err := f.Read(b)
		if err != nil {
			return
		}
		var c call
		if err := json.Unmarshal(b[:n], &c); err != nil {
			continue
		}
		done := make(chan said)
		w.calls <- func() {
			d := net.Dialer{Timeout: c.Timeout}
			conn, err := d.Dial(c.Net, c.To)
			go func() { done <- converse(conn, err, c) }()
		}
		r, _ := json.Marshal(<-done)
		f.Write(r) //nolint:errcheck // the tests have ended
	}
}

func converse(conn net.Conn, err error, c call) said {
	if err != nil {
		return said{Err: err.Error()}
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(c.Timeout)) //nolint:errcheck // sockets have deadlines
	s := said{Local: conn.LocalAddr().String()}
	if _, err := io.WriteString(conn, c.Say); err != nil {
		s.Err = err.Error()
		return s
	}
	b := make([]byte, 32<<10)
	n, err := conn.Read(b)
	s.Got = string(b[:n])
	if err != nil {
		s.Err = err.Error()
	}
	return s
}

// controlFile is the tests' end, descriptor 3 of the user stage.
var controlFile = sync.OnceValue(func() *os.File { return os.NewFile(3, "control") })

var controlLock sync.Mutex

// FromWorld has the world dial an address, say something and read one answer. local is the address it used.
func FromWorld(network, to, say string) (local, got string, err error) {
	controlLock.Lock()
	defer controlLock.Unlock()
	b, _ := json.Marshal(call{network, to, say, 3 * time.Second})
	if _, err := controlFile().Write(b); err != nil {
		return "", "", err
	}
	r := make([]byte, 64<<10)
	n, err := controlFile().Read(r)
	if err != nil {
		return "", "", err
	}
	var s said
	if err := json.Unmarshal(r[:n], &s); err != nil {
		return "", "", err
	}
	if s.Err != "" {
		err = fmt.Errorf("%s", s.Err)
	}
	return s.Local, s.Got, err
}
