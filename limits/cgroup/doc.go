// Package cgroup makes, changes, reads and removes the cgroup of one container (cgroup v2), with plain file operations.
//
// A [Tree] is a directory in which this user may make cgroups. A container's [Group] in it looks like this:
//
//	<tree>/supervisor     the processes that serve containers; none may sit in <tree> itself
//	<tree>/<id>           the limits that bind: nobody inside can reach this directory
//	<tree>/<id>/holder    the holders; the kernel's OOM killer finds nothing worth killing here
//	<tree>/<id>/c         the container; the same limits once more, since this is what it sees as its root
//
// Processes are born in the leaf (clone3 with CLONE_INTO_CGROUP, Linux 5.7), never moved. The package refuses to find a tree
// (limits/delegate does) and to convert limits (package limits does).
//
// It runs in host processes. Making, limiting, freezing, killing and reading work from any process of the user; cloning into
// a leaf only from a process which is below the tree itself, since the kernel wants write access to the common ancestor.
package cgroup
