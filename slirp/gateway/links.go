package gateway

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/moss-sandbox/moss/slirp"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Numbers of rtnetlink(7) and linux/if_link.h that package syscall lacks.
const (
	nestedFlag = 1 << 15

	iflaLinkInfo   = 18
	iflaNetNsFd    = 28
	iflaAfSpec     = 26
	iflaOperState  = 16
	infoKind       = 1
	infoData       = 2
	vethPeer       = 1
	brMcastSnoop   = 23
	inetConf       = 1 // IFLA_INET_CONF
	devForwarding  = 1 // IPV4_DEVCONF_FORWARDING
	devRpFilter    = 8
	inet6AddrGen   = 8 // IFLA_INET6_ADDR_GEN_MODE
	addrGenNone    = 1
	operUp         = 6
	addrNoDad      = 0x02
	fraPriority    = 6
	fraFwmark      = 10
	fraTable       = 15
	fraFwmask      = 16
	fraIifname     = 3
	fraSrc         = 2
	fraIPProto     = 22
	fraSportRange  = 23
	rtaTable       = 15
	routeBlackhole = 6
	routeLocal     = 2
	routeUnicast   = 1
	scopeHost      = 254
	create         = syscall.NLM_F_CREATE | syscall.NLM_F_EXCL | syscall.NLM_F_ACK
	replace        = syscall.NLM_F_CREATE | syscall.NLM_F_REPLACE | syscall.NLM_F_ACK
)

// ifInfo is struct ifinfomsg; up sets IFF_UP.
func ifInfo(index int, state linkState) []byte {
	h := make([]byte, 16)
	binary.NativeEndian.PutUint32(h[4:], uint32(index))
	if state == linkUp {
		binary.NativeEndian.PutUint32(h[8:], syscall.IFF_UP)
		binary.NativeEndian.PutUint32(h[12:], syscall.IFF_UP)
	}
	return h
}

type linkState int

const (
	linkDown linkState = iota
	linkUp
)

func (m *batch) linkUp(name string, index int) {
	m.start("setting "+name+" up", syscall.RTM_NEWLINK, syscall.NLM_F_ACK, ifInfo(index, linkUp))
}

// bridge makes br0 with a fixed index and a fixed address, which would else change with its ports.
func (m *batch) bridge(mtu int, mac slirp.MAC) {
	m.start("making bridge "+bridgeName, syscall.RTM_NEWLINK, create, ifInfo(bridgeIndex, linkUp))
	m.str(syscall.IFLA_IFNAME, bridgeName).u32(syscall.IFLA_MTU, uint32(mtu)).attr(syscall.IFLA_ADDRESS, mac[:])
	m.nest(iflaLinkInfo, func() {
		m.str(infoKind, "bridge")
		m.nest(infoData, func() { m.attr(brMcastSnoop, []byte{0}) })
	})
}

// devConf sets forwarding and a loose reverse-path filter by netlink, for hosts whose /proc/sys is read-only.
func (m *batch) devConf(name string, index int) {
	m.start("configuring "+name, syscall.RTM_NEWLINK, syscall.NLM_F_ACK, ifInfo(index, linkDown))
	m.nest(iflaAfSpec, func() {
		m.nest(syscall.AF_INET, func() {
			m.nest(inetConf, func() { m.u32(devForwarding, 1).u32(devRpFilter, 2) })
		})
	})
}

// veth makes a pair: this end a port of the bridge and up, the other in the container's namespace. That it wants no
// fe80:: address can only be said of an interface that exists (EAFNOSUPPORT).
func (m *batch) veth(l *Link) {
	m.start("making veth pair "+l.Port, syscall.RTM_NEWLINK, create, ifInfo(0, linkDown))
	m.str(syscall.IFLA_IFNAME, l.Port).u32(syscall.IFLA_MTU, uint32(l.MTU)).u32(syscall.IFLA_MASTER, bridgeIndex)
	defer func() {
		m.start("configuring "+l.Port, syscall.RTM_NEWLINK, syscall.NLM_F_ACK, ifInfo(0, linkDown)).str(syscall.IFLA_IFNAME, l.Port).noLinkLocal()
		m.start("setting "+l.Port+" up", syscall.RTM_NEWLINK, syscall.NLM_F_ACK, ifInfo(0, linkUp)).str(syscall.IFLA_IFNAME, l.Port)
	}()
	m.nest(iflaLinkInfo, func() {
		m.str(infoKind, "veth")
		m.nest(infoData, func() {
			m.nest(vethPeer, func() {
				m.raw(ifInfo(0, linkDown)).str(syscall.IFLA_IFNAME, l.Interface).u32(syscall.IFLA_MTU, uint32(l.MTU))
				m.attr(syscall.IFLA_ADDRESS, l.MAC[:]).u32(iflaNetNsFd, uint32(l.Namespace))
			})
		})
	})
}

// noLinkLocal keeps the kernel from giving the interface an fe80:: address.
func (m *batch) noLinkLocal() {
	m.nest(iflaAfSpec, func() {
		m.nest(syscall.AF_INET6, func() { m.attr(inet6AddrGen, []byte{addrGenNone}) })
	})
}

// addr gives an interface an address, IPv6 without waiting for duplicates.
func (m *batch) addr(name string, index int, p netip.Prefix) {
	h := []byte{byte(sys.Family(p.Addr())), byte(p.Bits()), 0, 0}
	if p.Addr().Is6() {
		h[2] = addrNoDad
	}
	h = binary.NativeEndian.AppendUint32(h, uint32(index))
	m.start(fmt.Sprintf("giving %s the address %s", name, p), syscall.RTM_NEWADDR, replace, h)
	m.attr(syscall.IFA_ADDRESS, p.Addr().AsSlice()).attr(syscall.IFA_LOCAL, p.Addr().AsSlice())
}

// defaultVia adds a default route through a neighbour.
func (m *batch) defaultVia(index int, via netip.Addr) {
	m.start(fmt.Sprintf("adding the default route via %s", via), syscall.RTM_NEWROUTE, replace, rtMsg(sys.Family(via), syscall.RT_TABLE_MAIN, 0, routeUnicast))
	m.attr(syscall.RTA_GATEWAY, via.AsSlice()).u32(syscall.RTA_OIF, uint32(index))
}

// blackhole ends what no rule has taken over, without an answer of the kernel's.
func (m *batch) blackhole(family int) {
	m.start("adding the blackhole route", syscall.RTM_NEWROUTE, replace, rtMsg(family, syscall.RT_TABLE_MAIN, 0, routeBlackhole))
	if family == syscall.AF_INET6 {
		m.u32(syscall.RTA_OIF, loIndex)
	}
}

// everythingLocal makes the table in which every address is this namespace's own.
func (m *batch) everythingLocal(family int) {
	m.start("adding the route to local sockets", syscall.RTM_NEWROUTE, replace, rtMsg(family, localTable, scopeHost, routeLocal))
	m.u32(syscall.RTA_OIF, loIndex)
}

// markRule sends marked packets to that table.
func (m *batch) markRule(family int) {
	m.start("adding the rule for marked packets", syscall.RTM_NEWRULE, create, ruleHdr(family, 0))
	m.u32(fraPriority, localTable).u32(fraFwmark, Mark).u32(fraFwmask, 0xffffffff).u32(fraTable, localTable)
}

func rtMsg(family, table, scope, kind int) []byte {
	return []byte{byte(family), 0, 0, 0, byte(table), 4 /* RTPROT_STATIC */, byte(scope), byte(kind), 0, 0, 0, 0}
}

func ruleHdr(family, srcLen int) []byte {
	return []byte{byte(family), 0, byte(srcLen), 0, localTable, 0, 0, 1 /* FR_ACT_TO_TBL */, 0, 0, 0, 0}
}

// link is what the kernel says of an interface.
type link struct {
	index int
	up    bool // its operational state: frames pass
}

func (c *netlink) link(name string) (l link, err error) {
	var m batch
	m.start("looking for interface "+name, syscall.RTM_GETLINK, syscall.NLM_F_ACK, ifInfo(0, linkDown)).str(syscall.IFLA_IFNAME, name)
	err = c.do(&m, func(kind uint16, body []byte) {
		if kind != syscall.RTM_NEWLINK || len(body) < 16 {
			return
		}
		l.index = int(binary.NativeEndian.Uint32(body[4:]))
		attributes(body[16:], func(kind uint16, data []byte) {
			if kind == iflaOperState && len(data) == 1 {
				l.up = data[0] == operUp
			}
		})
	})
	return l, err
}

func (c *netlink) deleteLink(name string) error {
	var m batch
	m.start("deleting interface "+name, syscall.RTM_DELLINK, syscall.NLM_F_ACK, ifInfo(0, linkDown)).str(syscall.IFLA_IFNAME, name)
	return c.do(&m, nil)
}
