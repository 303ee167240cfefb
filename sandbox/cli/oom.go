package cli

import (
	"os"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
)

// tellOOM says why a container was killed that wanted more memory than it may have: its exit code 137 does not.
func (a *App) tellOOM(c *sandbox.Snapshot) {
	l, err := engine.Limits(c.Spec)
	if err != nil || l.Memory == 0 {
		a.note("%s ran out of memory", c.Spec.Name)
		return
	}
	a.note("%s ran out of its %s of memory; --memory gives it more", c.Spec.Name, limits.BytesSize(float64(l.Memory)))
}

// hintOOM is tellOOM for commands that show a container later: at a terminal only, since scripts read what they print.
func (a *App) hintOOM(c *sandbox.Snapshot) {
	if f, ok := a.Err.(*os.File); ok && isTerminal(f) && engine.OOMKilled(c) && !c.State.Status.Up() {
		a.tellOOM(c)
	}
}
