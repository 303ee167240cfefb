// Command report runs `go test -json` and shows what a reader wants of it: the closing line of each package as go prints it, all
// that a failed test said, and at the end which tests took longest and which were left out, and why. Its exit code is go's.
//
//	report go test -json …
package main
