// Package task is what a build asks of the worker inside the user namespace: pure requests and the functions that carry
// them out on open directories.
//
// The client describes a Task (which layers form the tree, what to do in it); the worker's role mounts each Stack, opens
// its root and calls Apply; the Result goes back. Requests and results are plain data with JSON tags. All file work is done
// by package tree, by handle, so a stage's links lead nowhere outside.
//
// The package mounts nothing and starts nothing. Apply runs in the worker inside the user namespace, where uid 0 is the user
// and the other ids are the subordinate range; what builds tasks runs in the client.
package task
