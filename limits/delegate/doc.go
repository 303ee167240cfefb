// Package delegate brings a process into a cgroup subtree in which it may make containers' cgroups.
//
// It holds the ladder from a delegated systemd scope to nothing at all. It refuses to touch what nobody gave away: a cgroup
// that only happens to be writable, but belongs to systemd, is not used.
//
// It runs in the supervisor, or in a foreground client, in the host's own user namespace, before anything is cloned. Entering
// moves the process itself out of its session's cgroup.
package delegate
