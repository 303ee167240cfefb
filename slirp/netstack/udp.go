package netstack

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const udpLife = 90 * time.Second

// datagram takes the first datagram of a flow; false has gVisor drop it.
func (n *Netstack) datagram(r *udp.ForwarderRequest) bool {
	id := r.ID()
	src, dst := addrPort(id.RemoteAddress, id.RemotePort), addrPort(id.LocalAddress, id.LocalPort)
	to, ok := n.relay.Outside(dst)
	if !ok {
		n.relay.RefuseDatagram(src, dst, syscall.ENETUNREACH)
		return true
	}
	out, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		n.refuse(src, dst, err)
		return true
	}
	var wq waiter.Queue
	ep, e := r.CreateEndpoint(&wq)
	if e != nil {
		out.Close()
		return true
	}
	in := gonet.NewUDPConn(&wq, ep)
	go n.outward(in, out, src, dst)
	go n.inward(in, out, src, dst)
	return true
}

func (n *Netstack) refuse(src, dst netip.AddrPort, err error) {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		n.relay.RefuseDatagram(src, dst, errno)
	}
}

func (n *Netstack) outward(in *gonet.UDPConn, out *net.UDPConn, src, dst netip.AddrPort) {
	defer in.Close()
	defer out.Close()
	b := make([]byte, 64<<10)
	for {
		in.SetReadDeadline(time.Now().Add(udpLife)) //nolint:errcheck // gVisor's sockets have deadlines
		m, err := in.Read(b)
		if err != nil {
			return
		}
		if _, err := out.Write(b[:m]); err != nil {
			n.refuse(src, dst, err)
		}
	}
}

func (n *Netstack) inward(in *gonet.UDPConn, out *net.UDPConn, src, dst netip.AddrPort) {
	b := make([]byte, 64<<10)
	for {
		m, err := out.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			n.refuse(src, dst, err)
			continue
		}
		if _, err := in.Write(b[:m]); err != nil {
			return
		}
	}
}
