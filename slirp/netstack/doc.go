// Package netstack is the rung for kernels without nf_tables: gVisor's TCP/IP takes what containers of one gateway send out,
// from a packet socket at the gateway's uplink (gateway.Uplink). It needs veth, bridge and AF_PACKET only, and neither
// netfilter nor /dev/net/tun.
//
// The relay still sees each SYN, dials and answers refusals and pings, so connect(2) tells the truth here, too; what it has
// dialled it delivers (relay.DeliverTo), and only then gVisor completes the connection. Datagrams pass through gVisor's
// forwarder and one connected socket of the host for each flow. Published ports do not come this way: they are spliced as
// on every rung, policy rules (gateway.Return) bring the answers back.
//
// It runs in a switch made of the full program, in the host's network namespace; it is the one door to gvisor.dev/gvisor.
// Throughput is a third to a half of the relay's. A connection costs two goroutines and its buffers.
package netstack
