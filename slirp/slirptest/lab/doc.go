// Package lab runs a switch with one network for tests, in a process of its own, inside the world of package slirptest. It
// is apart from that package so that backends which know no switch do not link it.
package lab
