package slirp

// Differences tells in a beginner's words what a way to carry a network lacks; nothing for moss's own.
func (t Traits) Differences() (out []string) {
	for _, x := range []struct {
		has   bool
		lacks string
	}{
		{t.Peers, "containers do not reach each other"},
		{t.Names, "containers are not found by name"},
		{t.Source, "a published port hides who calls"},
		{t.Loopback, "a published UDP port is not reached from this machine itself"},
		{t.IPv6, "no IPv6"},
		{t.Ping, "no ping to the outside"},
		{t.Truthful, "a connection seems to succeed before the other side has answered"},
		{t.Silent, "a connection to nobody fails instead of waiting"},
		{t.Large, "UDP datagrams larger than a packet are lost"},
		{t.Walled, "a container with raw sockets reaches services on this machine's loopback"},
	} {
		if !x.has {
			out = append(out, x.lacks)
		}
	}
	return out
}
