// Package pasta is the backend of an installed pasta (of the passt project): found, its features read from its own words,
// started for one container, explained when it fails. It is used when a user asks for it (--net-backend pasta).
//
// The container has the host's own address and routes; containers do not reach each other; published ports are fixed
// when the process starts. In the version of 2023 a server that speaks first is not heard until its client has sent a
// byte, and uploads are erratic with bbr (../../shared/research/network.md 1). It needs /dev/net/tun.
//
// Each container has a process of its own, started by the caller in the host's network namespace; it goes into the
// background when it is ready and ends when the container's network namespace does. No third-party module is used.
package pasta
