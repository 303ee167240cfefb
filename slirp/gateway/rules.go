package gateway

// Mark is the mark of packets that belong to a socket of the switch; the policy rule makes them local.
const Mark = 1

// The listeners' ports on the gateway's loopback. No container can reach them there.
const (
	tcpPort = 41000
	udpPort = 41001
)

const (
	bridgeName  = "br0"
	loIndex     = 1 // the first interface of every network namespace
	bridgeIndex = 2
	localTable  = 100
	tableName   = "moss"
)

// Rules is the rung of the ladder that the gateway's kernel rules stand on.
type Rules string

// The rungs, best first.
const (
	RulesSocket    Rules = "relay"           // nft_tproxy and nft_socket
	RulesConntrack Rules = "relay-conntrack" // nft_tproxy and conntrack marks, for kernels without nft_socket
	RulesNone      Rules = "netstack"        // no netfilter: a TCP/IP of our own carries what goes out
)

// relayRules is everything that nf_tables does in a gateway. Prerouting comes before routing and after the packet socket
// has seen the packet.
func relayRules(kind Rules, gatewayToo bool) *batch {
	ours, note := expression(transparentSocket), expression(anywhere)
	if kind == RulesConntrack {
		ours, note = ourConnection, setConnectionMark
	}
	elsewhere := expression(notToUs)
	if gatewayToo {
		elsewhere = anywhere
	}
	r := newRules(tableName)
	r.hook("pre", hookPrerouting)
	// A SYN that meets a socket of ours of the same addresses in TIME_WAIT must reach the listener at once: these few
	// connections are accepted first.
	for _, f := range []byte{familyIPv4, familyIPv6} {
		r.rule("reused connections", family(f), protocol(6), from(bridgeIndex), syn, ours, toListener(f, tcpPort), setMark, note, accept)
	}
	r.rule("held connections", protocol(6), from(bridgeIndex), syn, elsewhere, drop)
	for _, f := range []byte{familyIPv4, familyIPv6} {
		r.rule("connections given back", family(f), protocol(6), from(loIndex), syn, toListener(f, tcpPort), setMark, note, accept)
		r.rule("datagrams", family(f), protocol(17), from(bridgeIndex), elsewhere, toListener(f, udpPort), setMark, accept)
	}
	r.rule("connections of the switch", protocol(6), ours, setMark, accept)
	r.rule("datagrams of the switch", protocol(17), ours, setMark, accept)
	if kind == RulesConntrack {
		r.hook("out", hookOutput)
		r.rule("connections with a client's address", notFromUs, setConnectionMark)
	}
	return r.end()
}
