// Package relay carries what containers send to the outside: TCP connections, UDP datagrams and pings of one gateway,
// through sockets of the host's network namespace. There is no TCP/IP of its own.
//
//	TCP   the gateway's packet socket shows a SYN; the kernel's copy is dropped by rule. The policy is asked, the host is
//	      dialled, and only when it has answered the SYN is given back to the gateway, where a transparent listener
//	      accepts it and the two sockets are joined (package pump). Refused: RST. Unreachable: ICMP. Silence: silence.
//	      So connect(2) in a container tells the truth.
//	UDP   one unconnected outer socket for each address and port of a container, whatever the remote address: the
//	      mapping is endpoint-independent, as STUN wants it; what comes back is let in from those it has sent to.
//	ping  echo requests by the host's ping sockets, where the host's ping_group_range lets this user have them; else
//	      the container is told "administratively prohibited", never a forged reply.
//
// It runs in the switch, in event loops of the host's network namespace. Every dial asks slirp.Policy.Outside first: the
// packet socket sees frames before the kernel's martian checks, so a destination may be anything. Frames are foreign
// input: parse is total and fuzzed.
package relay
