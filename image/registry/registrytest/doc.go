// Package registrytest starts registries for tests: go-containerregistry's in process, with TLS from an authority made on the spot,
// passwords and tokens; Debian's docker-registry as a program; and faults to put in front of the first.
//
// It listens on loopback only and ends with the test. Never import it outside of tests.
package registrytest
