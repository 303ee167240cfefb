// Package role starts this program again for the roles that need a process of their own, and tells main which role it
// was started for.
//
// A role's process has the name moss-ROLE (ps shows it), one JSON document with a version on descriptor 3, and the
// descriptors it was given from 4 on. It never parses the command line. What is executed is always this program's own
// file through a descriptor, never a path, so that replacing the binary cannot mix versions.
//
// Start runs a role as the user; StartInside runs it inside the user's namespace as its root, with all capabilities there
// and none outside.
package role
