// Package gateway makes and keeps the network namespace of one moss network: bridge, addresses, policy routes, rules, the
// veth pairs of its containers, and the sockets through which the switch takes over what leaves.
//
//	container (own user and network namespace)      gateway namespace, owned by the user's namespace
//	  eth0 ── veth ───────────────────────────────── v… ── br0 (gateway address)
//	  default route via br0                           packet socket on br0: SYNs and pings of containers
//	                                                  nft "moss": such SYNs are dropped after the packet socket has seen
//	                                                  them; SYNs given back (from lo) and UDP go to transparent sockets
//	                                                  mark 1 → table 100: everything is local
//	                                                  default route: blackhole
//
// It runs in the switch: in the user's user namespace, which gives it all capabilities over the gateway and over the
// containers' network namespaces, but not over the host's. Nothing here touches the host's network namespace. Everything
// is done by netlink messages written here; no program is started and no third-party module is used, since this is part
// of the hot program. Namespaces, bridge, rules and sockets outlive the process if somebody holds Gateway.Files.
//
// The package decides no policy (slirp.Policy), dials nothing and moves no bytes.
package gateway
