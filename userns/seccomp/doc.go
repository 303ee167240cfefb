// Package seccomp makes the system call filters of containers: classic BPF programs for seccomp(2), in pure Go, for every ABI
// of the machine at once (amd64: x86-64, i386, x32; arm64: aarch64, arm).
//
// It holds Docker's default profile as a compact table (Policy, generated from github.com/moby/profiles/seccomp by
// internal/gen, so that the hot program parses no JSON), that profile ready compiled for the default capabilities, the
// compiler from Policy to Filter, and the filter of accounts that can map only their own id (SingleID). Profiles of users in
// Docker's JSON are read by the package profile below.
//
// The theory of operation:
//
//   - A filter must judge every ABI a process can reach, or the weakest is the one attacked (CVE-2021-41133). The program
//     first reads the architecture of the call and kills the process on one it does not know.
//   - Numbers above the newest call the profile names fail with ENOSYS, not EPERM, as runc does
//     (github.com/opencontainers/runc/issues/2151): C libraries fall back on ENOSYS only.
//   - moss refuses more than Docker: socketcall, the i386 door to every socket family past the rules for socket; sockets of
//     AF_ALG and AF_VSOCK compared on the low 32 bits, since the kernel ignores the high ones while the profile's 64-bit
//     comparison "greater than 40" lets 1<<32|38 through; ioctl TIOCSTI and TIOCLINUX on the low 32 bits (CVE-2019-10063).
//   - A seccomp filter adds to what capabilities and namespaces refuse; it is never the only line of defence.
//
// The package refuses to load anything: it returns bytes, and the list that makes a container hands them to seccomp(2) as its
// last step but one. It makes no system call and runs in any process. Filters with user notification are not made here.
package seccomp
