// Package phrase says in Docker's words what a container does: "Up 3 seconds", "Exited (0) 2 minutes ago". Both front ends,
// the command line and the API, show it.
//
// It is pure, knows no format and prints nothing.
package phrase
