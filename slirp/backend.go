package slirp

// Traits are the differences between the ways to carry a network. The conformance suite (slirptest) holds each to its own,
// `moss info` and the README show them.
type Traits struct {
	Peers    bool // containers reach each other, by name too
	Source   bool // a published port shows the client's address
	IPv6     bool
	Ping     bool // echo to the outside, where the host lets its users ping
	Truthful bool // connect(2) tells what the far side has said: refused, unreachable, reset
	Silent   bool // and waits where nobody answers
	Names    bool // moss's resolver answers; the others have one of their own
	Loopback bool // a published UDP port is reached from the host's loopback
	Large    bool // UDP datagrams larger than the MTU pass
	Walled   bool // raw frames of a container do not reach the host's loopback either
}

// Backend is one way to carry a network.
type Backend struct {
	Name  string
	Needs string // of the machine
	Traits
}

// Backends lists all ways, best first. The first three are rungs of moss's own network, chosen by what the kernel has; the
// others are used when asked for.
func Backends() []Backend {
	full := Traits{Peers: true, Source: true, IPv6: true, Ping: true, Truthful: true, Silent: true, Names: true, Loopback: true, Large: true, Walled: true}
	return []Backend{
		{"relay", "veth, bridge, nf_tables with nft_tproxy and nft_socket", full},
		{"relay-conntrack", "veth, bridge, nf_tables with nft_tproxy, nf_conntrack", full},
		{"netstack", "veth, bridge, AF_PACKET", full},
		{"slirp4netns", "the program (1.0 or newer) and /dev/net/tun", Traits{Ping: true, Large: true}}, // as of 1.2.0
		{"pasta", "the program and /dev/net/tun", Traits{Source: true, IPv6: true, Ping: true}},         // as of March 2023: a refused connection is a timeout
	}
}

// TraitsOf returns the traits of a backend by name; none for an unknown one.
func TraitsOf(name string) Traits {
	for _, b := range Backends() {
		if b.Name == name {
			return b.Traits
		}
	}
	return Traits{}
}
