package phrase

import (
	"fmt"
	"time"

	"github.com/docker/go-units"

	"github.com/moss-sandbox/moss/sandbox"
)

// Status is the STATUS column: "Up 3 seconds", "Exited (0) 2 minutes ago".
func Status(c *sandbox.Snapshot) string {
	st := &c.State
	since := func(t time.Time) string { return units.HumanDuration(time.Since(t)) }
	switch st.Status {
	case sandbox.Running, sandbox.Paused:
		s := "Up " + since(st.Started)
		switch {
		case c.Foreign:
			s = "Up elsewhere"
		case st.Status == sandbox.Paused:
			s += " (Paused)"
		case st.Health != nil && st.Health.Status == "starting":
			s += " (health: starting)"
		case st.Health != nil:
			s += " (" + st.Health.Status + ")"
		}
		return s
	case sandbox.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", st.ExitCode, since(st.Finished))
	case sandbox.Exited:
		return fmt.Sprintf("Exited (%d) %s ago", st.ExitCode, since(st.Finished))
	case sandbox.Created:
		return "Created"
	case sandbox.Removing:
		return "Removal In Progress"
	case sandbox.Dead:
	}
	return "Dead"
}
