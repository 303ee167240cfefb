//go:build hot

package engine

import "github.com/moss-sandbox/moss/slirp/switchd"

// withNetstack does nothing: the small program has no TCP/IP of its own. Its switch says so (switchd.NetstackError), and the
// full program's takes its place.
func withNetstack(*switchd.Config) {}
