//go:build !amd64 && !arm64

package seccomp

// Native is the machine this binary runs on; there are no tables for it, so filters fail with ErrMachine.
const Native Machine = ""
