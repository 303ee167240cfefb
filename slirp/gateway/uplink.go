package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/userns/sys"
)

// The uplink of a gateway without rules: a veth pair inside the namespace. What containers send out is routed into one
// end; at the other a packet socket takes it. That end keeps another link address than the frames are sent to, so that the
// kernel's own IP layer ignores them.
const (
	uplinkName   = "up0"
	uplinkFar    = "up1"
	uplinkTable  = 200
	nudPermanent = 0x80
	ndaDst       = 1
	ndaLladdr    = 2
	routeOnlink  = 4
)

// Uplink describes the link between the gateway's kernel and a TCP/IP of our own.
type Uplink struct {
	Socket          int // packet socket (SOCK_RAW, PACKET_VNET_HDR) at the far end
	MTU             int
	Kernel, Stack   slirp.MAC  // link addresses of both ends
	Kernel4, Stack4 netip.Addr // their addresses, for routes only
	Kernel6, Stack6 netip.Addr
}

func uplink() Uplink {
	return Uplink{Kernel: slirp.MAC{2, 0, 0, 0, 3, 1}, Stack: slirp.MAC{2, 0, 0, 0, 3, 2},
		Kernel4: netip.MustParseAddr("169.254.77.1"), Stack4: netip.MustParseAddr("169.254.77.2"),
		Kernel6: netip.MustParseAddr("fe80::1"), Stack6: netip.MustParseAddr("fe80::2")}
}

// OpenUplink makes the uplink, or finds the one that a former switch has made, and opens its socket, which the caller owns.
func (g *Gateway) OpenUplink() (u Uplink, err error) {
	u = uplink()
	u.MTU = g.Network.MTU()
	err = g.rt.do(makeUplink(&u), nil)
	if err != nil && !errors.Is(err, syscall.EEXIST) {
		return u, err
	}
	near, err := g.rt.link(uplinkName)
	if err != nil {
		return u, err
	}
	far, err := g.rt.link(uplinkFar)
	if err != nil {
		return u, err
	}
	if err := g.rt.do(g.routeUplink(&u, near.index, far.index), nil); err != nil && !errors.Is(err, syscall.EEXIST) {
		return u, err
	}
	err = g.within(func() (err error) { u.Socket, err = frameSocket(far.index); return err })
	return u, err
}

func makeUplink(u *Uplink) *batch {
	m := &batch{}
	m.start("making the uplink", syscall.RTM_NEWLINK, create, ifInfo(0, linkDown))
	m.str(syscall.IFLA_IFNAME, uplinkName).u32(syscall.IFLA_MTU, uint32(u.MTU)).attr(syscall.IFLA_ADDRESS, u.Kernel[:])
	m.nest(iflaLinkInfo, func() {
		m.str(infoKind, "veth")
		m.nest(infoData, func() {
			m.nest(vethPeer, func() {
				m.raw(ifInfo(0, linkDown)).str(syscall.IFLA_IFNAME, uplinkFar).u32(syscall.IFLA_MTU, uint32(u.MTU))
				m.attr(syscall.IFLA_ADDRESS, []byte{2, 0, 0, 0, 3, 9})
			})
		})
	})
	return m
}

// routeUplink leads TCP and UDP of containers there; everything else stays in the blackhole, so that nothing but the
// relay answers a ping.
func (g *Gateway) routeUplink(u *Uplink, near, far int) *batch {
	m := &batch{}
	m.linkUp(uplinkFar, far)
	m.devConf(uplinkName, near)
	m.linkUp(uplinkName, near)
	m.addr(uplinkName, near, prefix(u.Kernel4, 30))
	m.neighbour(near, u.Stack4, u.Stack)
	m.uplinkRoute(near, u.Stack4)
	if len(g.families()) > 1 {
		m.addr(uplinkName, near, prefix(u.Kernel6, 64))
		m.neighbour(near, u.Stack6, u.Stack)
		m.uplinkRoute(near, u.Stack6)
	}
	for _, f := range g.families() {
		for _, proto := range []byte{syscall.IPPROTO_TCP, syscall.IPPROTO_UDP} {
			m.start("adding the rule for the uplink", syscall.RTM_NEWRULE, create, ruleTo(f, 0, uplinkTable))
			m.u32(fraPriority, uplinkTable).str(fraIifname, bridgeName).attr(fraIPProto, []byte{proto}).u32(fraTable, uplinkTable)
		}
	}
	return m
}

func (m *batch) neighbour(index int, a netip.Addr, mac slirp.MAC) {
	h := []byte{byte(sys.Family(a)), 0, 0, 0}
	h = append(h, native32(uint32(index))...)
	h = append(h, nudPermanent, 0, 0, 0) // state, flags, type
	m.start("adding a neighbour of the uplink", syscall.RTM_NEWNEIGH, replace, h).attr(ndaDst, a.AsSlice()).attr(ndaLladdr, mac[:])
}

func (m *batch) uplinkRoute(index int, via netip.Addr) {
	h := rtMsg(sys.Family(via), uplinkTable, 0, routeUnicast)
	h[8] = routeOnlink
	m.start("adding the uplink's route", syscall.RTM_NEWROUTE, replace, h).attr(syscall.RTA_GATEWAY, via.AsSlice()).u32(syscall.RTA_OIF, uint32(index))
}

// frameSocket takes and sends whole frames; super-packets pass with their virtio header (packet(7), PACKET_VNET_HDR).
func frameSocket(index int) (int, error) {
	fd, err := sys.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0)
	if err != nil {
		return -1, fmt.Errorf("opening the uplink's packet socket: %w", err)
	}
	if err = syscall.SetsockoptInt(fd, sys.SolPacket, sys.PacketVnetHdr, 1); err == nil {
		syscall.SetsockoptInt(fd, sys.SolPacket, sys.PacketIgnoreOut, 1)        //nolint:errcheck // Linux 4.20; else our own frames are foreign to us
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, sys.SORcvBufForce, 8<<20) //nolint:errcheck // the default works
		err = sys.BindPacket(fd, index)
	}
	if err != nil {
		syscall.Close(fd)
		return -1, fmt.Errorf("opening the uplink's packet socket: %w", err)
	}
	return fd, nil
}

// Return makes what a container sends from a published port come back to the switch's sockets, where no rule of nf_tables
// does so; on the other rungs it does nothing.
func (g *Gateway) Return(from netip.Addr, p slirp.Port, want Presence) error {
	if g.Rules != RulesNone || !from.IsValid() {
		return nil
	}
	proto := byte(syscall.IPPROTO_TCP)
	if p.Proto == slirp.UDP {
		proto = syscall.IPPROTO_UDP
	}
	kind, flags := uint16(syscall.RTM_NEWRULE), uint16(create)
	if want == Absent {
		kind, flags = syscall.RTM_DELRULE, syscall.NLM_F_ACK
	}
	m := &batch{}
	m.start("changing the rule of a published port", kind, flags, ruleTo(sys.Family(from), from.BitLen(), localTable))
	m.u32(fraPriority, localTable).str(fraIifname, bridgeName).attr(fraSrc, from.AsSlice()).attr(fraIPProto, []byte{proto})
	m.attr(fraSportRange, append(native16(p.Number), native16(p.Number)...)).u32(fraTable, localTable)
	err := g.rt.do(m, nil)
	if errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

// Presence says whether something is to be there.
type Presence int

// The two.
const (
	Absent Presence = iota
	Present
)

func native16(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }

func ruleTo(family, srcLen, table int) []byte {
	h := ruleHdr(family, srcLen)
	h[4] = byte(table)
	return h
}
