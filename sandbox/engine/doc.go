// Package engine holds the use cases: what a user, by command line or API, can ask moss to do. It is the only place where
// images meet sandboxes, networks and limits. It returns values and typed errors, prints nothing, and knows no flag and no
// JSON of Docker's.
//
// It runs in the user's process, outside all namespaces: the client of a foreground command, the supervisor role, or the
// API's server.
package engine
