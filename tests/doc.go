// Package tests holds the scenarios: the built binary, used as a person would, as an account with subordinate ids, as one
// without, and as root, called moss and called docker. Each checks standard output, standard error, the exit code, and that
// nothing is left behind. What they expect is what Docker does; where moss differs on purpose the case says so.
//
// Faults (kill -9, crash points) are in tests/faults, confinement in tests/confine, real hosts in tests/host, speed in
// tests/bench. Tests only.
package tests
