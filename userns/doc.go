// Package userns gives a user one user namespace: which ids may be mapped (Map), and the process that holds the namespace
// while anything runs in it (the keeper).
//
// Everything here runs as the user, outside of any namespace of ours, except the keeper's own list. The package knows
// nothing of containers: they are born from the namespace's descriptor by sandbox/guest.
//
// The ladder of ids: subordinate ranges by newuidmap and newgidmap; the user's own id alone. Real root gets a high range
// and writes the map itself, so that uid 0 of the machine is never mapped; root inside of somebody's user namespace is an
// id like any other and gets what that namespace has.
package userns
