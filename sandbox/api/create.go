package api

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// A creation is a request to create a container on its way to what the engine takes.
type creation struct {
	*engine.Create
	warnings []string
}

func (c *creation) warn(text string) { c.warnings = append(c.warnings, text) }

// create serves POST /containers/create.
func (s *Server) create(q *request) error {
	c, err := q.creation()
	if err != nil {
		return err
	}
	made, err := s.engine.Create(q.r.Context(), c.Create)
	if err != nil {
		return otherwise(http.StatusBadRequest, err)
	}
	if err := made.Served.Close(); err != nil {
		return err
	}
	q.json(http.StatusCreated, view.Created{ID: made.ID, Warnings: orNone(append(c.warnings, made.Warnings...))})
	return nil
}

// creation reads the request.
func (q *request) creation() (*creation, error) {
	b, err := io.ReadAll(io.LimitReader(q.r.Body, maxBody))
	if err != nil {
		return nil, badRequest("reading the request: %v", err)
	}
	var r view.CreateRequest
	if err := decode(b, &r, false); err != nil {
		return nil, err
	}
	if r.Config == nil {
		return nil, badRequest("Config cannot be empty in order to create a container")
	}
	if r.HostConfig == nil {
		r.HostConfig = &view.HostConfig{}
	}
	c := &creation{Create: &engine.Create{Name: strings.TrimPrefix(q.query.Get("name"), "/"), Platform: q.query.Get("platform"), Pull: "missing"}}
	var old struct{ MacAddress string } // before API 1.44
	if json.Unmarshal(b, &old) == nil {
		c.Host.MAC = old.MacAddress
	}
	steps := []func(*view.CreateRequest) error{
		c.config, c.process, c.volumes, c.logging, c.security, c.sharing, c.network, c.resources, c.unsupported,
	}
	for _, step := range steps {
		if err := step(&r); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// config takes what belongs to the command.
func (c *creation) config(r *view.CreateRequest) error {
	k := r.Config
	if k.Image == "" {
		return badRequest("no image specified: Image cannot be empty")
	}
	if strings.HasPrefix(k.Image, ".") {
		return badRequest("invalid image %q: a directory of this machine is named by its absolute path", k.Image)
	}
	c.Image, c.Args, c.Env, c.Dir, c.User = k.Image, k.Cmd, k.Env, k.WorkingDir, k.User
	c.Hostname, c.Domainname, c.Labels = k.Hostname, k.Domainname, k.Labels
	c.TTY, c.Stdin, c.StdinOnce = k.Tty, k.OpenStdin, k.StdinOnce
	c.AttachIn, c.AttachOut, c.AttachErr = k.AttachStdin, k.AttachStdout, k.AttachStderr
	c.StopSignal, c.StopTime = k.StopSignal, k.StopTimeout
	if k.StopSignal != "" {
		if _, err := engine.ParseSignal(k.StopSignal); err != nil {
			return badRequest("Invalid signal: %s", k.StopSignal)
		}
	}
	if k.Entrypoint != nil {
		list := slices.Clone(k.Entrypoint)
		if len(list) == 1 && list[0] == "" {
			list = []string{}
		}
		if len(list) > 0 || len(k.Entrypoint) > 0 {
			c.Entrypoint = &list
		}
	}
	for _, v := range k.Env {
		if v == "" || v[0] == '=' {
			return badRequest("invalid environment variable: %s", v)
		}
	}
	for p := range k.ExposedPorts {
		c.Expose = append(c.Expose, p.String())
	}
	c.health(k)
	return nil
}

func (c *creation) health(k *view.Config) {
	h := k.Healthcheck
	switch {
	case h == nil:
	case len(h.Test) > 0 && h.Test[0] == "NONE":
		c.NoHealth = true
	default:
		c.Health = &spec.Health{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, StartInterval: h.StartInterval, Retries: h.Retries}
	}
}

// process takes what the host decides about the command.
func (c *creation) process(r *view.CreateRequest) error {
	h := r.HostConfig
	c.AutoRemove, c.ReadOnly, c.Privileged, c.OOMScore, c.CIDFile = h.AutoRemove, h.ReadonlyRootfs, h.Privileged, h.OomScoreAdj, h.ContainerIDFile
	c.CapAdd, c.CapDrop, c.Groups, c.Annotation, c.Init = h.CapAdd, h.CapDrop, h.GroupAdd, h.Annotations, h.Init != nil && *h.Init
	p := h.RestartPolicy
	c.Restart = spec.Restart{Policy: cmp.Or(string(p.Name), "no"), Max: p.MaximumRetryCount}
	switch c.Restart.Policy {
	case "no", "always", "unless-stopped", "on-failure":
	default:
		return badRequest("invalid restart policy: unknown policy '%s'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'", p.Name)
	}
	switch {
	case p.MaximumRetryCount < 0:
		return badRequest("invalid restart policy: maximum retry count cannot be negative")
	case p.MaximumRetryCount > 0 && c.Restart.Policy != "on-failure":
		return badRequest("invalid restart policy: maximum retry count can only be used with 'on-failure'")
	case h.AutoRemove && c.Restart.Policy != "no":
		return badRequest("can't create 'AutoRemove' container with restart policy")
	}
	return nil
}

// volumes takes binds, mounts, tmpfs and anonymous volumes.
func (c *creation) volumes(r *view.CreateRequest) error {
	for _, b := range r.HostConfig.Binds {
		v, err := bind(b)
		if err != nil {
			return err
		}
		c.Volumes = append(c.Volumes, v)
	}
	for i := range r.HostConfig.Mounts {
		v, err := c.mount(&r.HostConfig.Mounts[i])
		if err != nil {
			return err
		}
		c.Volumes = append(c.Volumes, v)
	}
	for target, opts := range r.HostConfig.Tmpfs {
		v := engine.VolumeSpec{Type: spec.Tmpfs, Target: target}
		if opts != "" {
			v.Options = strings.Split(opts, ",")
		}
		c.Volumes = append(c.Volumes, v)
	}
	for target := range r.Volumes {
		same := func(v engine.VolumeSpec) bool { return path.Clean(v.Target) == path.Clean(target) }
		if !slices.ContainsFunc(c.Volumes, same) {
			c.Volumes = append(c.Volumes, engine.VolumeSpec{Type: spec.Volume, Target: target})
		}
	}
	return nil
}

// bind reads SOURCE:TARGET[:OPTIONS].
func bind(b string) (engine.VolumeSpec, error) {
	parts := strings.Split(b, ":")
	v := engine.VolumeSpec{Type: spec.Volume, MakeDir: true}
	if len(parts) < 1 || len(parts) > 3 || slices.Contains(parts[:min(2, len(parts))], "") {
		return v, badRequest("invalid volume specification: '%s'", b)
	}
	if len(parts) == 1 {
		v.Target, v.MakeDir = parts[0], false
		return v, nil
	}
	v.Source, v.Target = parts[0], parts[1]
	if strings.HasPrefix(v.Source, "/") {
		v.Type = spec.Bind
	}
	if len(parts) < 3 {
		return v, nil
	}
	v.Mode = parts[2]
	for m := range strings.SplitSeq(v.Mode, ",") {
		switch m {
		case "ro", "readonly":
			v.ReadOnly = true
		case "nocopy":
			v.NoCopy = true
		case "rw", "z", "Z", "cached", "delegated", "consistent", "private", "rprivate", "":
		default:
			return v, badRequest("invalid volume specification: '%s': invalid mode: %s", b, v.Mode)
		}
	}
	return v, nil
}
