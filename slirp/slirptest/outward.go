package slirptest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/userns/sys"
)

func at(addr string, port int) string { return net.JoinHostPort(addr, fmt.Sprint(port)) }

// worlds are the addresses of the world that a box can use.
func (s *suite) worlds() []string {
	if s.IPv6 {
		return []string{WorldAddr, WorldAddr6}
	}
	return []string{WorldAddr}
}

func (s *suite) tcpOut(t *testing.T) {
	b := NewBox(t)
	s.Attach(t, b, "out")
	for _, w := range s.worlds() {
		b.Do(t, func() error { return echoes(at(w, PortEcho), 1<<20) })
		b.Do(t, func() error { return s.patiently(func() error { return halfClose(at(w, PortHalf)) }) })
		b.Do(t, func() error { return download(at(w, PortSource), 8<<20) })
		if s.Truthful {
			b.Do(t, func() error { return isReset(at(w, PortReset)) })
		}
		b.Do(t, func() error { return many(at(w, PortEcho), 60) })
	}
}

// patiently does again what an installed program has failed at: on a busy machine Debian 12's pasta repeats the last bytes of a
// connection that is closed from one side, until its time is over. moss's own backends get one try.
func (s *suite) patiently(f func() error) error {
	err := f()
	for range 2 {
		if err == nil || s.Truthful {
			break
		}
		err = f()
	}
	return err
}

// echoes sends n bytes and wants them back.
func echoes(to string, n int) error {
	c, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	return echoOn(c, n)
}

func echoOn(c net.Conn, n int) error {
	c.SetDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // sockets have deadlines
	sent, got := make([]byte, n), make([]byte, n)
	rand.Read(sent)  //nolint:errcheck // crypto/rand never fails (Go 1.24)
	go c.Write(sent) //nolint:errcheck // the reader tells
	if _, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("reading the echo of %d bytes from %s: %w", n, c.RemoteAddr(), err)
	}
	if !bytes.Equal(sent, got) {
		return fmt.Errorf("the echo of %d bytes from %s differs", n, c.RemoteAddr())
	}
	return nil
}

func halfClose(to string) error {
	c, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second)) //nolint:errcheck // sockets have deadlines
	c.Write(make([]byte, 12345))                   //nolint:errcheck // the answer tells
	c.(*net.TCPConn).CloseWrite()                  //nolint:errcheck // likewise
	got, err := io.ReadAll(c)
	if string(got) != "got 12345" {
		return fmt.Errorf("half-close to %s: %q, %v", to, got, err)
	}
	return nil
}

func download(to string, n int64) error {
	c, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // sockets have deadlines
	if got, err := io.Copy(io.Discard, c); got != n || err != nil {
		return fmt.Errorf("download from %s: %d of %d bytes, %v", to, got, n, err)
	}
	return nil
}

func isReset(to string) error {
	c, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second)) //nolint:errcheck // sockets have deadlines
	c.Write([]byte("x"))                           //nolint:errcheck // the answer tells
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("a reset by %s arrived as %v", to, err)
	}
	return nil
}

// many makes n connections at once. The sockets are opened in the caller's thread.
func many(to string, n int) error {
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		c, err := net.DialTimeout("tcp", to, 5*time.Second)
		if err != nil {
			return err
		}
		wg.Go(func() { defer c.Close(); errs <- echoOn(c, 100<<10) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) truth(t *testing.T) {
	need(t, s.Truthful)
	b := NewBox(t)
	s.Attach(t, b, "truth")
	for _, w := range s.worlds() {
		b.Do(t, func() error { return dialError(at(w, PortClosed), syscall.ECONNREFUSED) })
	}
	b.Do(t, func() error { return dialError(at(Unreachable, 80), syscall.EHOSTUNREACH) })
	if s.Silent {
		b.Do(t, func() error {
			c, err := net.DialTimeout("tcp", at(Silent, 80), 1500*time.Millisecond)
			var timeout net.Error
			if c != nil || !errors.As(err, &timeout) || !timeout.Timeout() {
				return fmt.Errorf("connecting to a silent host: %v", err)
			}
			return nil
		})
	}
}

func dialError(to string, want syscall.Errno) error {
	start := time.Now()
	c, err := net.DialTimeout("tcp", to, 5*time.Second)
	if c != nil {
		c.Close()
	}
	if !errors.Is(err, want) {
		return fmt.Errorf("connecting to %s: %v, not %v", to, err, want)
	}
	if d := time.Since(start); d > 900*time.Millisecond {
		return fmt.Errorf("connecting to %s: %v only after %v", to, err, d)
	}
	return nil
}

func (s *suite) udpOut(t *testing.T) {
	b := NewBox(t)
	s.Attach(t, b, "udp")
	for _, w := range s.worlds() {
		for _, n := range []int{1, 512, 1400, 8000} {
			if n > 1400 && !s.Large {
				continue
			}
			b.Do(t, func() error { return udpEcho(at(w, PortEcho), n, 20) })
		}
	}
	if s.Truthful {
		b.Do(t, func() error { return udpRefused(at(WorldAddr, PortClosed)) })
	}
}

// udpEcho sends count datagrams, waits for each echo and allows few to be lost.
func udpEcho(to string, size, count int) error {
	c, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	got, b := 0, make([]byte, 65536)
	for i := range count {
		m := bytes.Repeat([]byte{byte(i)}, size)
		if _, err := c.Write(m); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(time.Second)) //nolint:errcheck // sockets have deadlines
		if n, err := c.Read(b); err == nil && bytes.Equal(b[:n], m) {
			got++
		}
	}
	if got < count-1 {
		return fmt.Errorf("UDP to %s: %d of %d datagrams of %d bytes came back", to, got, count, size)
	}
	return nil
}

func udpRefused(to string) error {
	c, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	c.Write([]byte("x"))                               //nolint:errcheck // the read tells
	c.SetReadDeadline(time.Now().Add(2 * time.Second)) //nolint:errcheck // sockets have deadlines
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("a datagram to a closed port: %v, not refused", err)
	}
	return nil
}

func (s *suite) ping(t *testing.T) {
	need(t, s.Ping)
	b := NewBox(t)
	s.Attach(t, b, "ping")
	if os.Getenv("MOSS_TEST_PING") == "closed" {
		b.Do(t, func() error {
			if err := pingOnce(WorldAddr); !errors.Is(err, syscall.EHOSTUNREACH) && !errors.Is(err, syscall.EACCES) {
				return fmt.Errorf("ping where the host allows none: %v", err)
			}
			return nil
		})
		return
	}
	for _, w := range s.worlds() {
		b.Do(t, func() error { return pingOnce(w) })
	}
}

// pingOnce sends an echo request from a ping socket and waits for its reply or error.
func pingOnce(to string) error {
	a := netip.MustParseAddr(to)
	proto, request, answer, level, recvErr := syscall.IPPROTO_ICMP, byte(8), byte(0), syscall.IPPROTO_IP, sys.IPRecvErr
	if a.Is6() {
		proto, request, answer, level, recvErr = syscall.IPPROTO_ICMPV6, 128, 129, syscall.IPPROTO_IPV6, sys.IP6RecvErr
	}
	fd, err := sys.Socket(sys.Family(a), syscall.SOCK_DGRAM, proto)
	if err != nil {
		return fmt.Errorf("opening a ping socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "ping "+to)
	defer f.Close()
	syscall.SetsockoptInt(fd, level, recvErr, 1) //nolint:errcheck // then an error is a timeout
	if err := sys.Connect(fd, netip.AddrPortFrom(a, 0)); err != nil {
		return err
	}
	if _, err := f.Write([]byte{request, 0, 0, 0, 0, 0, 0, 7, 'm', 'o', 's', 's'}); err != nil {
		return err
	}
	f.SetReadDeadline(time.Now().Add(2 * time.Second)) //nolint:errcheck // sockets have deadlines
	b := make([]byte, 64)
	n, err := f.Read(b)
	if err != nil {
		return err
	}
	if n != 12 || b[0] != answer || b[7] != 7 {
		return fmt.Errorf("ping %s: answer % x", to, b[:n])
	}
	return nil
}

func (s *suite) names(t *testing.T) {
	need(t, s.Names)
	b := NewBox(t)
	s.Attach(t, b, "dns")
	b.Do(t, func() error { return lookup("www.example.com", "192.0.2.53") })
	b.Do(t, func() error { return lookup("big.example.com", "192.0.2.53") }) // truncated: again over TCP
}

// lookup asks the box's resolver as a program in it would.
func lookup(name, want string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	q := []byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range bytes.SplitSeq([]byte(name), []byte(".")) {
		q = append(append(q, byte(len(label))), label...)
	}
	q = append(q, 0, 0, 1, 0, 1)
	r, err := exchange(ctx, "udp", q)
	if err == nil && r[2]&2 != 0 {
		r, err = exchange(ctx, "tcp", q)
	}
	if err != nil {
		return fmt.Errorf("looking up %s: %w", name, err)
	}
	if len(r) < 4 || net.IP(r[len(r)-4:]).String() != want || r[7] == 0 {
		return fmt.Errorf("looking up %s: answer % x", name, r)
	}
	return nil
}

// resolver is where a box finds its resolver.
var resolver = at(slirp.DNSAddress, 53)

func exchange(ctx context.Context, network string, q []byte) ([]byte, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, resolver)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(4 * time.Second)) //nolint:errcheck // sockets have deadlines
	if network == "tcp" {
		q = append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)
	}
	if _, err := c.Write(q); err != nil {
		return nil, err
	}
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		return nil, err
	}
	if network == "tcp" {
		b, n = b[2:], n-2
	}
	if n < 12 {
		return nil, fmt.Errorf("answer of %d bytes", n)
	}
	return b[:n], nil
}
