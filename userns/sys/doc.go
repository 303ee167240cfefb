// Package sys is the one door to golang.org/x/sys/unix and moby/sys/mountinfo: system calls with errors that say what was
// tried on which object, and the constants the rest of the program needs.
//
// It decides nothing and keeps no state. Its functions run in whatever process and namespace the caller is in.
package sys
