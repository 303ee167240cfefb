package engine

import (
	"fmt"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/sys"
)

const (
	nofile = 7
	core   = 4
)

// rlimits are the command's resource limits: the user's, and moss's for the two that differ from the caller's. Go raises
// the soft limit of open files for itself, so it is set here; cores would be written for nobody.
func rlimits(asked []Ulimit) (out []spec.Rlimit, err error) {
	seen := map[int]bool{}
	for _, u := range asked {
		n, ok := limits.RlimitNumbers()[u.Name]
		if !ok {
			return nil, fmt.Errorf("invalid ulimit type: %s", u.Name)
		}
		have, err := sys.Prlimit(0, n, nil)
		if err != nil {
			return nil, err
		}
		if u.Hard > have.Max {
			return nil, hint("use at most "+fmt.Sprint(have.Max)+" here; an administrator can raise it in /etc/security/limits.conf",
				"ulimit %s: the hard limit %d is above this account's %d", u.Name, u.Hard, have.Max)
		}
		seen[n] = true
		out = append(out, spec.Rlimit{Resource: n, Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	if !seen[nofile] {
		have, err := sys.Prlimit(0, nofile, nil)
		if err != nil {
			return nil, err
		}
		hard := min(have.Max, 524288)
		out = append(out, spec.Rlimit{Resource: nofile, Name: "nofile", Soft: min(1024, hard), Hard: hard})
	}
	if !seen[core] {
		out = append(out, spec.Rlimit{Resource: core, Name: "core"})
	}
	return out, nil
}
