// Package switchd is the switch, the process that carries the networks of one user, and the client by which others ask it.
//
// Main runs in a role of its own: moss executed again inside the user's user namespace (all capabilities there, none
// outside) but in the host's network namespace. It serves any number of gateways; each has an event loop whose thread
// lives in the gateway's namespace (published ports), beside the loop of the host's (what goes out, names).
//
//	switch.sock   unix(7) SOCK_SEQPACKET: one JSON request a packet, descriptors beside it, one JSON reply
//	switch.lock   held by the switch that serves (fcntl lock of the open file); whoever gets it is the switch
//	switch.json   what a successor needs, stamped with boot and pid namespace; written by rename
//
// What must outlive the switch lies in fd holders, processes of one system call (pause): for each network its namespace,
// packet socket and transparent listeners, for each container its pidfd, its resolver's sockets and its published
// listeners. A successor takes them by pidfd_getfd(2) and goes on: rules, routes, bridge and addresses have lived in the
// gateway all the time, waiting connections in the listeners' backlogs, first packets in the packet socket. Relayed
// connections do die with the switch. Nothing is kept of a container whose pidfd says that it has ended.
//
// The package knows no images, no containers beyond id, name and pidfd, and prints nothing. A caller whose request ends in
// ErrGone starts another switch and asks again: every request can be repeated.
package switchd
