package slirptest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp"
)

// serveWho answers each client in a box with the address it sees, TCP and UDP on one port, until the test ends.
func serveWho(t *testing.T, b *Box, port int) {
	t.Helper()
	b.Do(t, func() error {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		c, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close(); c.Close() })
		go acceptAll(l, func(c *net.TCPConn) {
			buf := make([]byte, 100)
			c.Read(buf) //nolint:errcheck // the client speaks first
			fmt.Fprint(c, c.RemoteAddr())
			io.Copy(io.Discard, c) //nolint:errcheck // until the client has read
		})
		go func() {
			buf := make([]byte, 2048)
			for {
				_, from, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				c.WriteTo([]byte(from.String()), from) //nolint:errcheck // the client tells
			}
		}()
		return nil
	})
}

// hostPort is the IPv4 port that was bound for a container port.
func hostPort(t *testing.T, e slirp.Endpoint, port slirp.Port, is func(netip.Addr) bool) netip.AddrPort {
	t.Helper()
	for _, p := range e.Ports {
		if p.Port == port && is(p.Host.Addr()) {
			return p.Host
		}
	}
	t.Fatalf("port %s is not published: %v", port, e.Ports)
	return netip.AddrPort{}
}

func (s *suite) publishedTCP(t *testing.T) { s.published(t, "tcp") }
func (s *suite) publishedUDP(t *testing.T) { s.published(t, "udp") }

func (s *suite) published(t *testing.T, network string) {
	b := NewBox(t)
	e := s.Attach(t, b, "server", "18080:8080/"+network)
	serveWho(t, b, 8080)
	at4 := hostPort(t, e, slirp.Port{Number: 8080, Proto: slirp.Proto(network)}, netip.Addr.Is4)
	local, got, err := FromWorld(network, at(HostAddr, int(at4.Port())), "hello")
	if err != nil {
		t.Fatalf("a remote client: %v", err)
	}
	if s.Source && got != local {
		t.Errorf("the container sees %q, the client is %q", got, local)
	}
	if network == "udp" && !s.Loopback {
		return
	}
	got, err = askOnce(network, at("127.0.0.1", int(at4.Port())))
	if err != nil {
		t.Errorf("a client on the host's loopback: %v", err)
	}
	if s.Peers && !strings.HasPrefix(got, e.Gateway.String()+":") {
		t.Errorf("the container sees %q, not the gateway %s", got, e.Gateway)
	}
	if s.IPv6 && s.Peers {
		s.publishedV6(t, e, network)
	}
}

func (s *suite) publishedV6(t *testing.T, e slirp.Endpoint, network string) {
	at6 := hostPort(t, e, slirp.Port{Number: 8080, Proto: slirp.Proto(network)}, netip.Addr.Is6)
	local, got, err := FromWorld(network, at(HostAddr6, int(at6.Port())), "hello")
	if err != nil || got != local {
		t.Errorf("a remote client over IPv6: the container sees %q, the client is %q, %v", got, local, err)
	}
}

func askOnce(network, to string) (string, error) {
	c, err := net.DialTimeout(network, to, 3*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Second)) //nolint:errcheck // sockets have deadlines
	fmt.Fprint(c, "hello")
	b := make([]byte, 200)
	n, err := c.Read(b)
	return string(b[:n]), err
}

func (s *suite) peers(t *testing.T) {
	need(t, s.Peers)
	a, b := NewBox(t), NewBox(t)
	ea, eb := s.Attach(t, a, "alpha"), s.Attach(t, b, "beta")
	serveWho(t, a, 80)
	serveWho(t, b, 80)
	for _, c := range []struct {
		from     *Box
		src, dst slirp.Endpoint
		name     string
	}{{a, ea, eb, "beta"}, {b, eb, ea, "alpha"}} {
		for _, network := range []string{"tcp", "udp"} {
			c.from.Do(t, func() error {
				got, err := askOnce(network, at(c.dst.IPv4.Addr().String(), 80))
				if err != nil || !strings.HasPrefix(got, c.src.IPv4.Addr().String()+":") {
					return fmt.Errorf("%s to a peer: %q, %v", network, got, err)
				}
				return nil
			})
		}
		c.from.Do(t, func() error { return lookup(c.name, c.dst.IPv4.Addr().String()) })
		c.from.Do(t, func() error { return pingOnce(c.dst.IPv4.Addr().String()) })
	}
}

// sentinelText is what a server says that no box may hear.
const sentinelText = "a container got here"

// forbid opens TCP and UDP listeners at an address of the caller's thread; heard gets a line for each contact.
func forbid(t *testing.T, addr string, heard chan<- string) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", addr+":0")
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	c, err := net.ListenPacket("udp", fmt.Sprintf("%s:%d", addr, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); c.Close() })
	go acceptAll(l, func(c *net.TCPConn) { heard <- "TCP from " + c.RemoteAddr().String(); io.WriteString(c, sentinelText) })
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			heard <- fmt.Sprintf("UDP from %s: %s", from, bytes.TrimSpace(b[:n]))
		}
	}()
	return port
}
