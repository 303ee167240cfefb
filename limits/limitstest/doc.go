// Package limitstest starts small containers for the tests of limits and its subpackages: the test binary once more, as pid 1
// of its own user, pid and mount namespaces with its own /proc.
//
// A package that uses it calls Main from its TestMain. Nothing outside of tests imports it.
package limitstest
