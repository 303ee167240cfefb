// Package api is Docker's Engine API over HTTP: requests are decoded, the engine is asked, its values are shown by package
// view. It is one more front end beside the command line, and holds nothing that cannot be rebuilt from disk but the
// commands that clients have started with exec.
//
// API versions 1.24 to 1.51 are served. A field of a request that moss does not carry out is refused or told in Warnings,
// never ignored. A client that vanishes ends what it asked for: no handler holds a lock or a thread for it.
//
// It belongs to the full program and runs in the server's process on the host, outside of all namespaces, as the user whose
// socket it answers on; other users are not answered.
package api
