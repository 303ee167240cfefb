// Package slirp holds the values and rules of moss's networks: networks and their files, addresses, endpoints, ports, and
// the content of a container's /etc/hosts and /etc/resolv.conf.
//
// It opens no socket, enters no namespace and starts no process: that is done by the packages below it, of which
// switchd is the process and the others its parts.
//
//	reactor    event loop                    pump      joins two sockets
//	gateway    a network's namespace         relay     what goes out: TCP, UDP, ping
//	publish    what comes in: published ports  dns     names and forwarding
//	switchd    the process, and how to ask it
//
// Whoever only runs containers needs this package and the client in switchd.
package slirp
