// Package scratch makes directories that belong to one build and recognises those whose build is gone, however it ended: who uses a
// directory holds a lock (flock(2)) on it, which the kernel takes back from the dead.
//
// It removes nothing by itself, since only the caller knows who may. It runs in the caller's process, in the machine's namespaces.
package scratch
