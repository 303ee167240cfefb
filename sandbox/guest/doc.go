// Package guest writes the lists of system calls with which containers are born and commands join them. Every function is
// pure: a specification goes in, a spawn.List comes out, and tests compare it without any privilege.
//
// # Birth
//
// Two processes run a birth list. The maker is a child of whoever starts the container; it joins the user's namespace,
// puts the root file system together in private mounts, clones the guest, writes its id map and stays as the holder: it
// keeps what must not be lost and never reaps, so that the guest's exit status waits in its zombie. The guest is pid 1 in
// namespaces of its own; it moves into its root, mounts what belongs to its namespaces, gives up its rights and executes
// the command.
//
//	maker (user's namespace)                    guest (its own namespaces)
//	  join, private mounts, overlay, volumes
//	  clone ------------------------------------> wait for the map
//	  write uid_map, gid_map; tell pid ---------> detached proc, sys, device nodes
//	  wait until the guest has executed           pivot_root; proc, dev, sys, masks
//	  leave the mounts, close, pause              [wait for the network] drop, filter, execve
//
// Must: names inside a foreign root are resolved by openat2(2) within that root, or after pivot_root; mounts that a
// container with SYS_ADMIN must not undo are made by the maker, whose namespace is not the container's (they are locked
// there); everything below pivot_root by the guest. Must not: join a namespace with foreign processes while dumpable;
// execute a file of ours after a join; hand on a descriptor of the caller's.
//
// # Exec
//
// The starter becomes undumpable before it joins, and clones the command as a child of its own parent. It was executed
// outside, so that nothing inside can look into it (measured with an attacker inside: 0 of 1,000).
package guest
