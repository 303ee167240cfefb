package engine

import (
	"strings"

	"github.com/moss-sandbox/moss/image/machine"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// collectViews removes the layers of views of this machine that were replaced by newer ones and on which no container stands
// any more. What cannot be removed now is found again.
func (e *Engine) collectViews() {
	all, err := e.Dirs.List()
	if err != nil {
		return
	}
	var specs []*spec.Spec
	for _, s := range all {
		sp, err := s.Spec()
		if err != nil {
			return // what it stands on is not known
		}
		specs = append(specs, sp)
	}
	_, _ = machine.Collect(e.Dirs.Data, func(cache string) bool { return standsOn(specs, cache+"/") })
}

// standsOn tells whether a layer or a mounted file of one of the containers lies below dir.
func standsOn(specs []*spec.Spec, dir string) bool {
	for _, sp := range specs {
		for _, t := range sp.Root.Trees {
			for _, lower := range t.Lower {
				if strings.HasPrefix(lower, dir) {
					return true
				}
			}
		}
		for _, m := range sp.Mounts {
			if strings.HasPrefix(m.Source, dir) {
				return true
			}
		}
	}
	return false
}
