// Package sandbox is a container as it lies on disk: a directory with its specification, its state, its locks, its log; and
// what can be said of it by looking, without asking anybody.
//
//	<data>/containers/ID/
//	    spec.json    what it is (package spec); the container exists from its appearance on
//	    state.json   what became of it; void where the kernel says otherwise
//	    alive        locked by the holder as long as the container's processes may live
//	    served       locked by the process that serves it: a foreground client or the supervisor
//	    lock         locked for the length of one step of its life (start, stop, rename, remove)
//	    log, index   raw output, and a record per piece of it
//	    etc/         hosts, hostname, resolv.conf as the container sees them
//	    upper/ work/ what it changed in its root
//	<data>/container-names/NAME -> ID
//	<data>/events    one line per transition, of everybody
//
// There is no database and no lock over more than one container. Readers take no lock. Dead means: the lock on alive is
// free and the recorded first process is gone; what another boot, machine or pid namespace wrote is left alone.
//
// The package runs in any process of the user, outside of all namespaces. It starts nothing.
package sandbox
