package spawn

import _ "github.com/moss-sandbox/moss/userns/spawn/portable/early" // this test binary runs lists when re-executed

// Reexecute is the portable interpreter, whatever this machine is.
func (l *List) Reexecute(o Options) (int, error) { return l.reexecute(o) }

// Failure makes the error of a record.
func (l *List) Failure(errno, at uint64) error { return l.failure(errno, at) }
