// Package cgroup1 makes, changes, reads and removes the cgroups of one container on hosts with version 1, where this account
// may write to its own: real root, and CI containers that were given them.
//
// A [Group] is one directory in each writable hierarchy, below this process's own. Version 1 cannot clone into a cgroup, so
// the first process of a container joins by writing to descriptors that were opened for it (Joins), before it executes
// anything; its children follow. The package is what package cgroup is for version 2, and refuses the same things.
package cgroup1
