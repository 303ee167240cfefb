package slirptest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/userns/sys"
)

// isolation tries every known way from a box to the host's loopback.
func (s *suite) isolation(t *testing.T) {
	heard := make(chan string, 100)
	port := forbid(t, "127.0.0.1", heard)
	port6 := forbid(t, "[::1]", heard)
	b := NewBox(t)
	e := s.Attach(t, b, "prisoner")
	t.Run("dial", func(t *testing.T) { s.dialLoopback(t, b, e, port, port6) })
	t.Run("raw frames", func(t *testing.T) { s.rawLoopback(t, b, e, port, port6) })
	t.Run("gateway's ports", func(t *testing.T) { s.scanGateway(t, b, e) })
	time.Sleep(300 * time.Millisecond)
	for {
		select {
		case h := <-heard:
			t.Errorf("the host's loopback was reached: %s", h)
			continue
		default:
		}
		return
	}
}

// dialLoopback uses routes through the gateway to addresses that the host takes for its own.
func (s *suite) dialLoopback(t *testing.T, b *Box, e slirp.Endpoint, port, port6 uint16) {
	b.Do(t, func() error {
		run("ip", "route", "add", "127.0.0.77", "via", e.Gateway.String())
		run("ip", "route", "add", "table", "7", "default", "via", e.Gateway.String(), "dev", e.Interface)
		for _, to := range []string{"127.0.0.1", "127.0.0.77", "0.0.0.0", e.Gateway.String(), HostAddr, Metadata} {
			for _, network := range []string{"tcp", "udp"} {
				hopeless(network, at(to, int(port)))
			}
		}
		hopeless("tcp", at("::1", int(port6)))
		hopeless("tcp", at("::ffff:127.0.0.1", int(port)))
		return nil
	})
}

func run(name string, args ...string) {
	exec.Command(name, args...).Run() //nolint:errcheck // an attack may fail
}

func hopeless(network, to string) {
	c, err := net.DialTimeout(network, to, 200*time.Millisecond)
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprint(c, "x")
}

// rawLoopback sends frames that the box's own kernel would never send.
func (s *suite) rawLoopback(t *testing.T, b *Box, e slirp.Endpoint, port, port6 uint16) {
	need(t, s.Walled)
	b.Do(t, func() error {
		hopeless("udp", at(e.Gateway.String(), 9)) // the gateway's link address is known then
		time.Sleep(50 * time.Millisecond)
		out, err := newRawSender(e)
		if err != nil {
			return err
		}
		defer syscall.Close(out.fd)
		for _, to := range []string{"127.0.0.1", "127.0.0.53", "127.1.2.3", "0.0.0.0", "0.0.0.1", "255.255.255.255", "224.0.0.1", e.Gateway.String()} {
			for _, p := range []uint16{port, 41000, 41001} {
				out.v4(netip.MustParseAddr(to), p)
			}
		}
		for _, to := range []string{"::1", "::", "::ffff:127.0.0.1", "fe80::1", "::127.0.0.1", "64:ff9b::7f00:1"} {
			out.v6(netip.MustParseAddr(to), port6)
			out.v6(netip.MustParseAddr(to), port)
		}
		time.Sleep(300 * time.Millisecond)
		return nil
	})
}

// rawSender sends IP packets in frames to the gateway.
type rawSender struct {
	fd   int
	to   syscall.SockaddrLinklayer
	src  netip.Addr
	src6 netip.Addr
	n    uint16
}

func newRawSender(e slirp.Endpoint) (*rawSender, error) {
	fd, err := sys.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket in the box: %w", err)
	}
	ifi, err := net.InterfaceByName(e.Interface)
	if err != nil {
		return nil, err
	}
	r := &rawSender{fd: fd, src: e.IPv4.Addr(), src6: e.IPv6.Addr(), to: syscall.SockaddrLinklayer{Ifindex: ifi.Index, Halen: 6}}
	if !r.src6.IsValid() {
		r.src6 = netip.MustParseAddr("fd00::77")
	}
	mac, err := neighbour(e.Gateway.String())
	copy(r.to.Addr[:], mac)
	return r, err
}

// neighbour reads a link-layer address from the ARP table.
func neighbour(addr string) (net.HardwareAddr, error) {
	text, err := os.ReadFile("/proc/thread-self/net/arp")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == addr {
			return net.ParseMAC(f[3])
		}
	}
	return nil, fmt.Errorf("the gateway %s is no neighbour", addr)
}

func (r *rawSender) send(protocol uint16, b []byte) {
	r.to.Protocol = protocol<<8 | protocol>>8
	syscall.Sendto(r.fd, b, 0, &r.to) //nolint:errcheck // an attack may fail
}

// v4 sends a TCP SYN and a UDP datagram.
func (r *rawSender) v4(to netip.Addr, port uint16) {
	for _, proto := range []byte{6, 17} {
		b := make([]byte, 20)
		b[0], b[8], b[9] = 0x45, 64, proto
		copy(b[12:], r.src.AsSlice())
		copy(b[16:], to.AsSlice())
		pay := r.transport(proto, port, b[12:20])
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(pay)))
		binary.BigEndian.PutUint16(b[10:], ^checksum(b, 0))
		r.send(0x0800, append(b, pay...))
	}
}

func (r *rawSender) v6(to netip.Addr, port uint16) {
	for _, proto := range []byte{6, 17} {
		b := make([]byte, 40)
		b[0], b[6], b[7] = 0x60, proto, 64
		src, dst := r.src6.As16(), to.As16()
		copy(b[8:], src[:])
		copy(b[24:], dst[:])
		pay := r.transport(proto, port, b[8:40])
		binary.BigEndian.PutUint16(b[4:], uint16(len(pay)))
		r.send(0x86dd, append(b, pay...))
	}
}

func (r *rawSender) transport(proto byte, port uint16, addrs []byte) []byte {
	r.n++
	p, at := make([]byte, 20), 16
	if proto == 17 {
		p, at = append(make([]byte, 8), "raw datagram"...), 6
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)))
	} else {
		p[12], p[13], p[14] = 0x50, 0x02, 0x40
	}
	binary.BigEndian.PutUint16(p, 20000+r.n)
	binary.BigEndian.PutUint16(p[2:], port)
	pseudo := append(append([]byte(nil), addrs...), 0, proto, byte(len(p)>>8), byte(len(p)))
	binary.BigEndian.PutUint16(p[at:], ^checksum(p, uint32(checksum(pseudo, 0))))
	return p
}

func checksum(b []byte, s uint32) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// scanGateway wants every TCP port of the gateway closed.
func (s *suite) scanGateway(t *testing.T, b *Box, e slirp.Endpoint) {
	if !s.Peers {
		t.Skip("the gateway is the backend's own")
	}
	b.Do(t, func() error {
		var open []string
		for port := 1; port < 65536; port += 1 + port/2000 { // all low ones, a sample above, and ours
			open = append(open, tryPort(e.Gateway, port)...)
		}
		for _, port := range []int{41000, 41001} {
			open = append(open, tryPort(e.Gateway, port)...)
		}
		if len(open) > 0 {
			return fmt.Errorf("open ports of the gateway: %v", open)
		}
		return nil
	})
}

func tryPort(a netip.Addr, port int) []string {
	c, err := net.DialTimeout("tcp", at(a.String(), port), time.Second)
	if err != nil {
		return nil
	}
	c.Close()
	return []string{fmt.Sprint(port)}
}
