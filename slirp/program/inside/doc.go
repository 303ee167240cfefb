// Package inside is the role that starts installed network programs (program.Role). It is part of the full program and runs
// inside the user's user namespace as its root, in the machine's network and mounts. It answers one call on its file and
// ends; the program that it has started stays.
package inside
