// Package early makes every binary that links it run the list it was re-executed for, before anything else: no other
// package's initialisation may have opened, raised or started something. Go initialises packages in the order of their paths
// as far as imports allow, which puts this one, for want of imports, before package os. It is linked on architectures
// without an interpreter in assembler, with the build tag "portable", and by the tests.
package early

import "github.com/moss-sandbox/moss/userns/spawn/portable"

// The one init of moss: main, and the main of each test, come too late.
func init() { portable.Become() }
