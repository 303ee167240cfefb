// Package procs reads and signals the processes of one container where no cgroup does it.
//
// A [Set] is the container's processes, seen through the proc file system of their own pid namespace: one open directory
// whose listing is exactly the container, in the container's numbers. Where the container shares a pid namespace, the set is
// the descendants of its first process instead.
//
// It refuses to interpret (limits/watchdog and limits/stats do) and to write anything but signals, affinity and nice values.
// It runs in host processes of the user who owns the container's user namespace, which gives the rights of ptrace(2) over
// everything inside. Nothing read here is to be trusted beyond numbers: command lines and names are the container's.
package procs
