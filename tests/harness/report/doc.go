// Command report runs `go test -json` and shows what a reader wants of it: the closing line of each package as go prints it, all
// that a failed test said, and at the end which tests took longest and which were left out, and why.
//
// Tests that have failed are run once more, alone: the scenarios share two processors with all packages, and what fails there for
// want of time is told apart from what is wrong. What they said at first stands behind "first try |", and a test that passes at
// the second try is listed as unstable. The exit code is that of the second try.
//
//	report go test -json FLAGS -- PACKAGES
package main
