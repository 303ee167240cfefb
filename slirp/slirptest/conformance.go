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

// Conformance runs the suite against a backend.
func Conformance(t *testing.T, n Network, traits slirp.Traits) {
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
	slirp.Traits
}

// need skips what a backend does not promise.
func need(t *testing.T, promised bool) {
	t.Helper()
	if !promised {
		t.Skip("this backend does not promise it")
	}
}
