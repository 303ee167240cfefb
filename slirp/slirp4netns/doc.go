// Package slirp4netns is the backend of an installed slirp4netns: found, its features read from its own words, started for
// one container, explained when it fails. It is used when a user asks for it (--net-backend slirp4netns).
//
// What it promises less than moss's own network: containers do not reach each other, the client's address of a published
// port is lost, connect(2) succeeds before the far side is asked, IPv6 is experimental, and raw frames (CAP_NET_RAW) to
// 0.0.0.0 or 127.0.0.0/8 reach the host's own loopback in spite of --disable-host-loopback (1.2.0, shown by slirptest).
// It needs /dev/net/tun.
//
// Each container has a process of its own, started by the caller in the host's network namespace; it enters the container's
// namespaces to make its device. Ports are published through its API socket by rootlesskit's driver, whose only door this
// package is; that driver brings net/http, so the package belongs to the full program.
package slirp4netns
