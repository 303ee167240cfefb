//go:build !hot

package engine

import (
	"github.com/moss-sandbox/moss/slirp/netstack"
	"github.com/moss-sandbox/moss/slirp/switchd"
)

// withNetstack gives the switch of the full program a TCP/IP of its own, for kernels without netfilter.
func withNetstack(c *switchd.Config) { c.Netstack = netstack.Start }
