//go:build portable || !(amd64 || arm64)

package spawn

import _ "github.com/moss-sandbox/moss/userns/spawn/portable/early" // the re-executed binary runs its list

// start has the re-executed binary run the list.
func (l *List) start(o Options) (int, error) { return l.reexecute(o) }
