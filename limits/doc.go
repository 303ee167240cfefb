// Package limits says what a container may use: memory, CPU, processes, input and output, disk.
//
// It holds three kinds of values. [Limits] is what the user asked for, as plain data which parses and prints Docker's
// strings. [Facts] is what this host can enforce. [Decide] brings both together into a [Plan]: for each limit the mechanism
// that carries it, the values for cgroup files, and what the container's birth list and supervisor have to do. [Weaker]
// names each limit that is not enforced as Docker would, in words for the user; nothing is dropped silently.
//
// Everything here is pure: no file is read, no system call is made, so it may be used in any process and namespace. The
// doing is in the packages below:
//
//   - limits/host reads Facts from the machine
//   - limits/delegate finds or asks for a cgroup subtree, limits/systemd is its D-Bus client
//   - limits/cgroup makes, changes and reads a container's cgroup (version 2), limits/cgroup1 the same for version 1
//   - limits/procs reads and signals the processes of one pid namespace, for hosts that delegate nothing
//   - limits/watchdog bounds memory and CPU through limits/procs
//   - limits/stats computes Docker's stats columns
//   - limits/manager is the door to containerd/cgroups, for the heavy program only
package limits
