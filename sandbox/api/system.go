package api

import (
	"fmt"
	"net/http"
	"runtime"
	"time"

	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/view"
	"github.com/moss-sandbox/moss/userns/sys"
)

// ping serves GET and HEAD /_ping.
func (s *Server) ping(q *request) error {
	h := q.w.Header()
	h.Set("Builder-Version", "1") // the classic builder: there is no /session
	h.Set("Swarm", "inactive")
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if q.r.Method == http.MethodHead {
		h.Set("Content-Length", "0")
		q.w.WriteHeader(http.StatusOK)
		return nil
	}
	_, err := q.w.Write([]byte("OK"))
	return err
}

// versions serves GET /version.
func (s *Server) versions(q *request) error {
	v := view.Version{
		Version: s.version, APIVersion: fmt.Sprintf("1.%d", newest), MinAPIVersion: fmt.Sprintf("1.%d", oldest), Os: "linux", Arch: runtime.GOARCH,
		GoVersion: runtime.Version(), KernelVersion: sys.KernelRelease(),
	}
	v.Platform.Name = "moss"
	v.Components = []view.Component{{Name: "Engine", Version: s.version, Details: map[string]string{
		"ApiVersion": v.APIVersion, "MinAPIVersion": v.MinAPIVersion, "KernelVersion": v.KernelVersion, "Os": v.Os, "Arch": v.Arch, "GoVersion": v.GoVersion,
		"Experimental": "false", "GitCommit": "", "BuildTime": "",
	}}}
	return q.ok(v)
}

// info serves GET /info.
func (s *Server) info(q *request) error {
	i, err := s.engine.Info(q.r.Context())
	if err != nil {
		return err
	}
	return q.ok(view.SystemInfo(i, s.version))
}

// auth serves POST /auth.
func (s *Server) auth(q *request) error {
	var a view.RegistryAuth
	if err := q.body(&a, false); err != nil {
		return err
	}
	c, err := s.images.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.CheckLogin(q.r.Context(), registry.ServerName(a.ServerAddress), loginOf(&a)); err != nil {
		return &statusError{http.StatusUnauthorized, err.Error()}
	}
	return q.ok(view.RegistryAuthAnswer{Status: "Login Succeeded"})
}

func loginOf(a *view.RegistryAuth) registry.Login {
	return registry.Login{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
}

// events serves GET /events. The header is sent at once.
func (s *Server) events(q *request) error {
	f, err := q.filters("config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret", "service", "type", "volume")
	if err != nil {
		return err
	}
	query := engine.EventQuery{}
	if query.Since, err = q.time("since"); err != nil {
		return err
	}
	if query.Until, err = q.time("until"); err != nil {
		return err
	}
	if !query.Since.IsZero() && !query.Until.IsZero() && query.Until.Before(query.Since) {
		return badRequest("`since` time (%s) cannot be after `until` time (%s)", q.query.Get("since"), q.query.Get("until"))
	}
	switch {
	case q.query.Get("since") == "0":
		query.Since = time.Unix(0, 0)
	case query.Since.IsZero():
		query.Since = time.Now()
	}
	out := q.stream()
	_ = s.engine.Events(q.r.Context(), query, func(e sandbox.Event) error {
		if !f.Event(e) {
			return nil
		}
		return out.send(view.Message(e))
	})
	return nil
}
