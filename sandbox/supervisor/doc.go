// Package supervisor serves containers: it has them born, moves their output to their logs, waits for their end, records
// it, cleans up, restarts. One code serves a set: a foreground client serves its one container, the supervisor role all
// detached ones of a user.
//
// It runs as the user, outside of all namespaces. Whatever it holds can be had again by a successor: output pipes through
// /proc/HOLDER/fd, the terminal through pidfd_getfd(2), the exit status from the guest's zombie. So its death loses
// nothing, and Recover, which any command may run, is enough to go on.
//
// The interfaces Network and Group are declared here and implemented by sandbox/engine.
package supervisor
