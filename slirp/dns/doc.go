// Package dns is the resolver that containers see at 127.0.0.11: it answers the names of their network and passes every
// other question on, unread, to the resolvers that the host has at that moment (also a stub on the host's 127.0.0.53).
//
// It runs in the switch, in an event loop of the host's network namespace; only the listening sockets belong to the
// container's namespace (Listen). It keeps no cache, follows no referral, validates nothing: those are the host's
// resolver's. Questions are foreign input: parseQuestion is total and fuzzed.
package dns
