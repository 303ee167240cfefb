package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// instructionSize is the size of the kernel's struct sock_filter: code u16, jt u8, jf u8, k u32.
const instructionSize = 8

// MaxInstructions is the longest program the kernel takes (BPF_MAXINSNS, linux/bpf_common.h).
const MaxInstructions = 4096

// ErrMachine is returned for a machine without tables; the caller decides whether to go on without a filter.
var ErrMachine = errors.New("no system call tables for this machine")

// ErrTooLong is returned for a program of more than MaxInstructions.
var ErrTooLong = errors.New("filter has more instructions than the kernel takes")

// Machine is a family of ABIs that one kernel serves.
type Machine string

// The machines with tables. Native is the one this binary runs on.
const (
	AMD64 Machine = "amd64"
	ARM64 Machine = "arm64"
)

// Filter is a BPF program in the memory layout of struct sock_filter[], little endian as both machines are: its address and
// Instructions() make the struct sock_fprog of seccomp(2). It is read-only; share it freely.
type Filter []byte

// Instructions returns the length for sock_fprog.len.
func (f Filter) Instructions() int { return len(f) / instructionSize }

// Default returns Docker's default filter with moss's additions for a container whose bounding set is caps (bit n is
// capability number n, as in /proc/PID/status). For DefaultCaps it is ready made; for others it is compiled, which takes
// some 0.1 ms. It fails with ErrMachine only.
func Default(machine Machine, caps uint64) (Filter, error) {
	policy, ready := defaultPolicy(machine)
	if policy == nil {
		return nil, fmt.Errorf("seccomp filter for %q: %w", machine, ErrMachine)
	}
	if caps == DefaultCaps {
		return Filter(ready), nil
	}
	return policy.Compile(caps)
}

// DefaultCaps is the bounding set of a default container: Docker's 14 capabilities.
const DefaultCaps uint64 = 0xa80425fb

// Join makes one program of two: what first allows, then judges; every other answer of first stands. Unlike two loaded
// filters, where the kernel takes the stricter answer of both, an answer of first is final, so first must refuse or fake
// and never be the only one to judge. It fails with ErrTooLong.
func Join(first, then Filter) (Filter, error) {
	joined := make(Filter, 0, len(first)+len(then))
	joined = append(joined, first...)
	n := first.Instructions()
	for i := range n {
		at := joined[i*instructionSize:]
		if binary.LittleEndian.Uint16(at) == opReturn && binary.LittleEndian.Uint32(at[4:]) == Allow {
			copy(at, encode(instruction{op: opJump, k: uint32(n - i - 1)}))
		}
	}
	joined = append(joined, then...)
	if joined.Instructions() > MaxInstructions {
		return nil, fmt.Errorf("joining filters of %d instructions: %w", joined.Instructions(), ErrTooLong)
	}
	return joined, nil
}
