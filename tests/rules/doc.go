// Package rules tests the rules of the repository that a machine can judge: which folder may import what, one door for each
// third-party module, a doc.go in each package, no init(), no os.Exit outside main, what the hot program links and how long
// its start takes, a reproducible static binary. Each rule says why it is there. It holds tests only.
package rules
