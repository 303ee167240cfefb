// Package publish serves published ports: what arrives at an address of the host goes to a container's port, and the
// container sees the client's own address and port, for TCP and UDP, without address translation.
//
// A connection is accepted on the host and made again inside the gateway's namespace by a socket bound to the client's
// address (IP_TRANSPARENT). Not kept, and replaced by the gateway's address, is the address of a client on the host's
// loopback (127.0.0.1 cannot be routed; Docker does the same), of one inside the container's own subnet, of an IPv6
// client where the container has IPv4 only, and one whose address and port are taken inside.
//
// It runs in the switch: the listeners are sockets of the host's network namespace, opened by Open in any thread of the
// process; they are served in the gateway's event loop, whose thread opens the inner sockets without asking another.
// A listener outlives the process if a holder keeps its descriptor; connections wait in its backlog.
package publish
