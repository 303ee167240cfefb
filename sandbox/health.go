package sandbox

// The words of a health's status.
const (
	HealthStarting = "starting"
	Healthy        = "healthy"
	Unhealthy      = "unhealthy"
)

// A container's health lies in a file of its own, beside the state: who serves it writes it between two steps of its life.

// SaveHealth replaces what is known of the container's health.
func (s *Sandbox) SaveHealth(h *Health) error {
	return s.dirs.write(s.path("health.json"), h, BootBound)
}

// readHealth reads it; nil where no check was ever due.
func (s *Sandbox) readHealth() *Health {
	var h Health
	if err := readVersioned(s.path("health.json"), &h); err != nil {
		return nil // lazily written: what cannot be read is not known
	}
	return &h
}
