// Package spec is all that a container needs to start, as plain data: what the user asked for and what its image says,
// already decided. It is written once, as spec.json, and never changed but by rename and update.
//
// It refuses to decide: defaults are put in by sandbox/engine, system calls are made of it by sandbox/guest.
package spec
