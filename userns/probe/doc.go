// Package probe finds out what this machine lets an ordinary user do, and says it in plain words.
//
// It goes in three steps. Host measures: each thing is tried, never only read from a sysctl, and the result kept as it came
// (Facts, JSON). Sentences, Check and AdminScript judge: pure functions of the Facts, so that captured results of foreign
// machines are tests.
//
// What needs a namespace is tried in a child, the role "probe", which is started in new user, mount, pid, net and ipc
// namespaces and vanishes with them; everything else in the process itself. A measurement takes some 50 ms and is cached per
// boot. Nothing on the machine is changed, except for a directory in the data root that is removed again.
//
// The package does not choose rungs of ladders: each owner of a ladder probes its own. It belongs to `moss info`, and to the
// hint after a refusal.
package probe
