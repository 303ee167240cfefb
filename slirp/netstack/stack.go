package netstack

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/slirp/gateway"
	"github.com/moss-sandbox/moss/slirp/relay"
)

const nic = 1

// Netstack carries what one gateway sends out.
type Netstack struct {
	relay  *relay.Relay
	stack  *stack.Stack
	flight flights
	socket int
}

// Start begins to carry. The relay serves the same gateway; from now on it delivers its connections here. call runs a
// function in the relay's loop. It fits switchd.Config.
func Start(gw *gateway.Gateway, r *relay.Relay, call func(func()) error) (io.Closer, error) {
	up, err := gw.OpenUplink()
	if err != nil {
		return nil, fmt.Errorf("starting the network's own TCP/IP: %w", err)
	}
	n := &Netstack{relay: r, stack: newStack(), socket: up.Socket}
	if err := n.connect(&up); err != nil {
		n.Close()
		return nil, fmt.Errorf("starting the network's own TCP/IP: %w", err)
	}
	tf := tcp.NewForwarder(n.stack, 0, maxWaiting, n.connection)
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, tf.HandlePacket)
	uf := udp.NewForwarder(n.stack, n.datagram)
	n.stack.SetTransportProtocolHandler(udp.ProtocolNumber, uf.HandlePacket)
	return n, call(func() { r.DeliverTo(n.deliver) })
}

// Close ends all connections.
func (n *Netstack) Close() error {
	n.stack.Close()
	return syscall.Close(n.socket)
}

func newStack() *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{arp.NewProtocol, ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	sack, moderate, wait := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true), tcpip.TCPTimeWaitTimeoutOption(time.Second)
	recovery := tcpip.TCPRecovery(0) // RACK costs more here than it gains: the link loses nothing
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: 1 << 20, Max: 8 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: 1 << 20, Max: 6 << 20}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &wait, &recovery, &receive, &send} {
		s.SetTransportProtocolOption(tcp.ProtocolNumber, o)
	}
	return s
}

// connect puts the stack at the uplink: it takes every destination for its own (promiscuous) and answers as such (spoofing).
func (n *Netstack) connect(up *gateway.Uplink) error {
	link, err := fdbased.New(&fdbased.Options{FDs: []int{up.Socket}, MTU: uint32(up.MTU), EthernetHeader: true, Address: tcpip.LinkAddress(up.Stack[:]),
		PacketDispatchMode: fdbased.RecvMMsg, GSOMaxSize: 65536 - 64, RXChecksumOffload: true})
	if err != nil {
		return err
	}
	if e := n.stack.CreateNIC(nic, link); e != nil {
		return errors.New(e.String())
	}
	for _, set := range []func(tcpip.NICID, bool) tcpip.Error{n.stack.SetPromiscuousMode, n.stack.SetSpoofing} {
		if e := set(nic, true); e != nil {
			return errors.New(e.String())
		}
	}
	for _, x := range []struct{ kernel, own netip.Addr }{{up.Kernel4, up.Stack4}, {up.Kernel6, up.Stack6}} {
		if err := n.addAddress(x.own, x.kernel, up.Kernel); err != nil {
			return err
		}
	}
	n.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic, Gateway: address(up.Kernel4)},
		{Destination: header.IPv6EmptySubnet, NIC: nic, Gateway: address(up.Kernel6)},
	})
	return nil
}

func (n *Netstack) addAddress(own, kernel netip.Addr, mac slirp.MAC) error {
	proto, bits := tcpip.NetworkProtocolNumber(ipv4.ProtocolNumber), 30
	if own.Is6() {
		proto, bits = ipv6.ProtocolNumber, 64
	}
	e := n.stack.AddProtocolAddress(nic, tcpip.ProtocolAddress{Protocol: proto, AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(own), PrefixLen: bits}}, stack.AddressProperties{})
	if e == nil {
		e = n.stack.AddStaticNeighbor(nic, proto, address(kernel), tcpip.LinkAddress(mac[:]))
	}
	if e != nil {
		return errors.New(e.String())
	}
	return nil
}

func address(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func addrPort(a tcpip.Address, port uint16) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return netip.AddrPortFrom(ip, port)
}
