package slirptest

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Load is a server and its clients for measurements: each client speaks first, as some peers need it.
type Load struct {
	tcp net.Listener
	udp *net.UDPConn
	got atomic.Int64 // datagrams
}

// The first byte of a connection says what the server is to do.
const (
	loadSink   = 'U' // read until the end, then say one byte
	loadSource = 'D' // write until the client closes
	loadEcho   = 'E' // echo
	loadPages  = 'H' // 1 kB for each 64 bytes
)

// NewLoad listens in the caller's thread's network namespace.
func NewLoad(addr string) (*Load, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		return nil, err
	}
	a := l.Addr().(*net.TCPAddr)
	u, err := net.ListenUDP("udp", &net.UDPAddr{IP: a.IP, Port: a.Port})
	if err != nil {
		l.Close()
		return nil, err
	}
	u.SetReadBuffer(4 << 20) //nolint:errcheck // the default works
	s := &Load{tcp: l, udp: u}
	go acceptAll(l, s.serve)
	go s.count()
	return s, nil
}

// Port is where it listens, TCP and UDP.
func (s *Load) Port() int { return s.tcp.Addr().(*net.TCPAddr).Port }

// Close ends the server.
func (s *Load) Close() { s.tcp.Close(); s.udp.Close() }

func (s *Load) serve(c *net.TCPConn) {
	b := make([]byte, 256<<10)
	if _, err := io.ReadFull(c, b[:1]); err != nil {
		return
	}
	switch b[0] {
	case loadSink:
		for {
			if _, err := c.Read(b); err != nil {
				break
			}
		}
		c.Write(b[:1]) //nolint:errcheck // the client tells
	case loadSource:
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	case loadEcho:
		io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, b) //nolint:errcheck // the client tells
	case loadPages:
		for {
			if _, err := io.ReadFull(c, b[:64]); err != nil {
				return
			}
			if _, err := c.Write(b[:1024]); err != nil {
				return
			}
		}
	}
}

func (s *Load) count() {
	b := make([]byte, 65536)
	for {
		if _, _, err := s.udp.ReadFromUDPAddrPort(b); err != nil {
			return
		}
		s.got.Add(1)
	}
}

// Figures are what one client measured.
type Figures struct {
	Up1, Down1, Up4, Down4 float64       // Gbit/s
	Connect                time.Duration // connect, one byte each way, close; median
	Pages                  float64       // requests a second, 8 connections
	UDP                    float64       // datagrams of 1200 bytes received, thousands a second
}

// String prints a row of a table.
func (f Figures) String() string {
	return fmt.Sprintf("up1 %5.1f down1 %5.1f up4 %5.1f down4 %5.1f Gbit/s  connect %6.0f µs  http %7.0f/s  udp %5.0f k/s",
		f.Up1, f.Down1, f.Up4, f.Down4, float64(f.Connect.Nanoseconds())/1e3, f.Pages, f.UDP)
}

// Measure runs the clients in the caller's thread's network namespace against a load server reached at addr. each bounds
// one measurement.
func (s *Load) Measure(addr netip.Addr, each time.Duration) (f Figures, err error) {
	to := netip.AddrPortFrom(addr, uint16(s.Port())).String()
	for _, m := range []struct {
		into *float64
		kind byte
		n    int
	}{{&f.Up1, loadSink, 1}, {&f.Down1, loadSource, 1}, {&f.Up4, loadSink, 4}, {&f.Down4, loadSource, 4}} {
		if *m.into, err = stream(to, m.kind, m.n, each); err != nil {
			return f, err
		}
	}
	if f.Connect, err = connects(to, each); err != nil {
		return f, err
	}
	if f.Pages, err = pages(to, each); err != nil {
		return f, err
	}
	f.UDP, err = s.datagrams(to, each)
	return f, err
}

// dialLoad connects in the caller's thread.
func dialLoad(to string, kind byte) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return nil, err
	}
	_, err = c.Write([]byte{kind})
	return c, err
}

func stream(to string, kind byte, n int, each time.Duration) (float64, error) {
	var total atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range n {
		c, err := dialLoad(to, kind)
		if err != nil {
			return 0, err
		}
		wg.Go(func() {
			defer c.Close()
			c.SetDeadline(start.Add(each)) //nolint:errcheck // sockets have deadlines
			b := make([]byte, 256<<10)
			for {
				var m int
				var err error
				if kind == loadSink {
					m, err = c.Write(b)
				} else {
					m, err = c.Read(b)
				}
				total.Add(int64(m))
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(total.Load()) * 8 / time.Since(start).Seconds() / 1e9, nil
}

func connects(to string, each time.Duration) (time.Duration, error) {
	var d []time.Duration
	for end := time.Now().Add(each); time.Now().Before(end); {
		start := time.Now()
		c, err := dialLoad(to, loadEcho)
		if err != nil {
			return 0, err
		}
		b := []byte{1}
		if _, err = c.Write(b); err == nil {
			_, err = c.Read(b)
		}
		c.Close()
		if err != nil {
			return 0, err
		}
		d = append(d, time.Since(start))
	}
	slices.Sort(d)
	return d[len(d)/2], nil
}

func pages(to string, each time.Duration) (float64, error) {
	var n atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range 8 {
		c, err := dialLoad(to, loadPages)
		if err != nil {
			return 0, err
		}
		wg.Go(func() {
			defer c.Close()
			c.SetDeadline(start.Add(each)) //nolint:errcheck // sockets have deadlines
			b := make([]byte, 1024)
			for {
				if _, err := c.Write(b[:64]); err != nil {
					return
				}
				if _, err := io.ReadFull(c, b); err != nil {
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(start).Seconds(), nil
}

// datagrams sends as fast as it can and counts what arrives.
func (s *Load) datagrams(to string, each time.Duration) (float64, error) {
	c, err := net.Dial("udp", to)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	before, start := s.got.Load(), time.Now()
	b := make([]byte, 1200)
	for time.Since(start) < each {
		for range 16 {
			c.Write(b) //nolint:errcheck // lost datagrams are not counted
		}
	}
	return float64(s.got.Load()-before) / time.Since(start).Seconds() / 1e3, nil
}
