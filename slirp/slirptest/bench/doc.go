// Package bench compares moss's network with the installed programs in one run: interleaved rounds, every client speaking
// first, reno in every namespace, the host's loopback as the limit. It prints medians with their spread, and beside each
// promise whether it holds, is within 10 % or stays below; it fails on errors only. A round takes half a minute.
//
//	MOSS_BENCH=7 go test -v -run Compare ./slirp/slirptest/bench
//
// Where /dev/net/tun is closed, root gives slirp4netns and pasta one of their own:
//
//	unshare -m --propagation private sh -c 'mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 &&
//		MOSS_BENCH=7 go test -v -run Compare ./slirp/slirptest/bench'
package bench
