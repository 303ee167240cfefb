package api

import (
	"net/http"
	"slices"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// pause serves POST /containers/{name}/pause.
func (s *Server) pause(q *request) error {
	if err := s.engine.Pause(q.r.Context(), q.vars["name"]); err != nil {
		return err
	}
	return q.none()
}

// unpause serves POST /containers/{name}/unpause.
func (s *Server) unpause(q *request) error {
	if err := s.engine.Unpause(q.r.Context(), q.vars["name"]); err != nil {
		return err
	}
	return q.none()
}

// update serves POST /containers/{name}/update.
func (s *Server) update(q *request) error {
	var r view.UpdateConfig
	if err := q.body(&r, false); err != nil {
		return err
	}
	ch := engine.Change{Limits: limitsOf(&r.Resources)}
	if p := r.RestartPolicy; p.Name != "" {
		if !slices.Contains([]string{"no", "always", "unless-stopped", "on-failure"}, string(p.Name)) {
			return badRequest("invalid restart policy: unknown policy '%s'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'", p.Name)
		}
		ch.Restart = &spec.Restart{Policy: string(p.Name), Max: p.MaximumRetryCount}
	}
	warnings, err := s.engine.Update(q.r.Context(), q.vars["name"], ch)
	if err != nil {
		return otherwise(http.StatusBadRequest, err)
	}
	return q.ok(map[string]any{"Warnings": orNone(warnings)})
}
