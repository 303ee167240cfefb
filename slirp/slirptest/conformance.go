package slirptest

import (
	"testing"

	"github.com/moss-sandbox/moss/slirp"
)

// Network is what the suite asks of a backend.
type Network interface {
	// Attach puts a box on the backend's network, publishes ports (-p's form) and returns its endpoint. It fails the test
	// on an error and undoes itself at its end.
	Attach(t testing.TB, b *Box, name string, ports ...string) slirp.Endpoint
}

// Traits are the differences between backends that are no faults; `moss info` shows them.
type Traits struct {
	Peers    bool // containers reach each other, by name too
	Source   bool // a published port shows the client's address
	IPv6     bool
	Ping     bool // echo to the outside
	Truthful bool // connect(2) tells what the far side has said, also reset after data
	Silent   bool // and waits where nobody answers
	Names    bool // moss's resolver answers; the others have one of their own
	Loopback bool // a published UDP port is reached from the host's loopback
	Large    bool // UDP datagrams larger than the MTU pass
	Walled   bool // raw frames of a container do not reach the host's loopback either
}

// The backends' traits.
var (
	Relay       = Traits{Peers: true, Source: true, IPv6: true, Ping: true, Truthful: true, Silent: true, Names: true, Loopback: true, Large: true, Walled: true}
	Netstack    = Relay
	Slirp4netns = Traits{Ping: true, Large: true}              // 1.2.0
	Pasta       = Traits{Source: true, IPv6: true, Ping: true} // of 2023: a refused connection is a timeout
)

// Conformance runs the suite against a backend.
func Conformance(t *testing.T, n Network, traits Traits) {
	s := &suite{n, traits}
	t.Run("TCP out", s.tcpOut)
	t.Run("connect tells the truth", s.truth)
	t.Run("UDP out", s.udpOut)
	t.Run("ping", s.ping)
	t.Run("names", s.names)
	t.Run("published TCP", s.publishedTCP)
	t.Run("published UDP", s.publishedUDP)
	t.Run("between containers", s.peers)
	t.Run("isolation", s.isolation)
}

type suite struct {
	Network
	Traits
}

// need skips what a backend does not promise.
func need(t *testing.T, promised bool) {
	t.Helper()
	if !promised {
		t.Skip("this backend does not promise it")
	}
}
