// Package profile reads seccomp profiles in Docker's JSON (a superset of the OCI runtime specification's linux.seccomp), as
// given by --security-opt seccomp=FILE, and makes seccomp policies and filters of them.
//
// A profile means here what it means to Docker with runc and libseccomp, so that one written for Docker confines equally:
//
//   - of the rules for one call the first without arguments beats all with arguments; among those with arguments the first
//     that matches answers;
//   - a rule that repeats the default action is left out;
//   - a rule that tests one argument twice becomes one rule per test (any may match), as runc splits it;
//   - names this package does not know are skipped, like names libseccomp does not know;
//   - with a refusing default action, numbers above the newest named call fail with ENOSYS;
//   - a process that uses an architecture the profile does not list is killed.
//
// One difference: i386's multiplexers. libseccomp translates rules for socket(2) and its kin into tests of socketcall's first
// word; here a profile that names such a call and not the multiplexer gets ENOSYS for the multiplexer.
//
// It refuses what it cannot carry out, by name: user notification, listener paths, unknown actions, operators, flags. It runs
// in the client, opens no file and makes no system call.
package profile
