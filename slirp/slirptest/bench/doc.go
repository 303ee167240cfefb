// Package bench compares moss's network with the installed programs in one run: interleaved rounds, every client speaking
// first, reno in every namespace, the host's loopback as the limit. It judges nothing and prints medians with their spread.
//
//	MOSS_BENCH=7 go test -v -run Compare ./slirp/slirptest/bench
package bench
