// Package confine tests from inside a container what moss promises of its confinement: Docker's defaults line by line
// (docker_test.go), the classes of known escapes (escape_test.go, image_test.go, words_test.go), and attackers that race with
// moss (attack_test.go). A static program, probe, looks and tries inside; package sight holds what it reports.
//
// Every promise has its control: the same check on a place where it must fail (outside, in a weak sandbox made by unshare, or
// with the option that switches the protection off). A check that holds there too proves nothing, and is an error.
//
// The tests run on the host, as every account of the harness.
package confine
