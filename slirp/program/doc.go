// Package program asks for a network by an installed program (slirp4netns, pasta), one process for each container.
//
// It runs in whatever serves the container, which may be the small program; the work is done by a role of the full program
// (package inside), started inside the user's namespace as its root, which starts the program and ends. The program lives on
// as long as its container: Carrier is kept with the container's state, and End ends it.
//
// It knows no containers beyond id and pid, and touches no file of theirs.
package program
