// Package buildtest is a small engine for the tests of package build: images in memory, layers as directories, and a worker
// and a runner that are children of the test binary in user and mount namespaces of their own, with the kernel's overlay.
//
// It is what build needs and nothing more: no confinement, no network of its own, no garbage collection. It works as root
// (ids 0 to 65535 mapped) and as an ordinary account (the own id alone, owners recorded). A test binary that uses it calls
// Main in its TestMain.
package buildtest
