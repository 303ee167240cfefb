// Package slirptest is the conformance suite of moss's networks and the small world it runs in. Nothing leaves the
// machine, and nothing of the machine's own network is touched: a test binary that calls Main becomes three processes.
//
//	the test binary     as it was started, by root or by an ordinary account
//	└─ host             new user and network namespace: this is "the host". It has two links:
//	   │                  198.51.100.1/24, 2001:db8:1::1/64 to a namespace "world" with servers at .2 and ::2
//	   │                  its own loopback, which no container may reach
//	   └─ user          new user namespace, the host's network namespace: "the user's namespace". Here the tests run, and
//	                    the switch, exactly as in production: all capabilities in here, none over the host's network.
//	      └─ boxes      containers' stand-ins: own user and network namespace, one sleeping process each
//
// A test acts inside a box by Box.Do and in the world by World. Preconditions that are missing skip the test; with
// MOSS_TEST_MUST_RUN=1 that is a failure.
package slirptest
