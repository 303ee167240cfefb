package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/limits/procs"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/engine/files"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// A Commit is an image to be made of a container.
type Commit struct {
	Container string
	Name      string // repository[:tag]; empty for none
	Author    string
	Message   string
	Changes   []string // Dockerfile instructions
	NoPause   bool     // let the container's processes go on meanwhile
}

// Commit makes an image of a container's changes and returns its id. What was mounted is not part of it.
func (s *Service) Commit(ctx context.Context, o Commit) (image.Digest, error) {
	c, err := s.e.Find(ctx, o.Container)
	if err != nil {
		return "", err
	}
	var names []image.Ref
	if o.Name != "" {
		r, err := image.ParseRef(o.Name)
		if err != nil {
			return "", err
		}
		if r.Digest != "" {
			return "", errors.New("refusing to create a tag with a digest reference")
		}
		names = append(names, r)
	}
	if c.Spec.ImageID == "" {
		return "", &engine.Hint{Err: fmt.Errorf("container %s stands on a directory of this machine and not on an image", c.Spec.Name),
			Remedy: "moss export " + c.Spec.Name + " | moss import - NAME makes an image of all its files"}
	}
	settings, err := committed(c, o.Changes)
	if err != nil {
		return "", err
	}
	if !o.NoPause {
		defer halt(c)()
	}
	m, err := s.commit(ctx, c, o, settings, names)
	if err != nil {
		return "", err
	}
	s.e.Dirs.Emit(c.Event("commit", "comment", o.Message, "imageID", string(m.ID), "imageRef", o.Name))
	return m.ID, nil
}

// halt stops a running container's processes. The result lets them go on.
func halt(c *sandbox.Snapshot) func() {
	if c.State.Status != sandbox.Running {
		return func() {}
	}
	open := procs.Open
	if c.Spec.Host.PID != spec.Own {
		open = procs.OpenTree
	}
	set, err := open(c.State.Guest.PID)
	if err != nil { // it has ended
		return func() {}
	}
	held := set.Stop()
	return func() {
		procs.Continue(held)
		_ = set.Close()
	}
}

func (s *Service) commit(ctx context.Context, c *sandbox.Snapshot, o Commit, settings image.Settings, names []image.Ref) (*store.Image, error) {
	st, err := s.e.Images()
	if err != nil {
		return nil, err
	}
	ss, err := st.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer ss.End()
	base, err := s.base(ctx, st, ss, c)
	if err != nil {
		return nil, err
	}
	pack := store.PackOptions{}
	for _, p := range files.Places() {
		pack.Omit = append(pack.Omit, strings.TrimPrefix(p, "/"))
	}
	l, stats, err := ss.Pack(ctx, s.Worker(), c.Path(c.Spec.Root.Trees[0].Upper), pack)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	cfg := *base.Config
	step := image.History{Created: &now, CreatedBy: strings.Join(c.Spec.Process.Args, " "), Author: o.Author, Comment: o.Message, EmptyLayer: stats.Entries == 0}
	layers := slices.Clone(base.Layers)
	cfg.RootFS = image.RootFS{Type: "layers", DiffIDs: slices.Clone(cfg.RootFS.DiffIDs)}
	if c.Spec.Root.Kind == spec.Copy { // the upper directory is the whole root
		layers, cfg.RootFS.DiffIDs, cfg.History = nil, nil, nil
	}
	if stats.Entries > 0 {
		layers, cfg.RootFS.DiffIDs = append(layers, l), append(cfg.RootFS.DiffIDs, l.DiffID)
	}
	cfg.Created, cfg.Author, cfg.Comment, cfg.Container = &now, o.Author, o.Message, c.ID
	cfg.Config, cfg.History = settings, append(slices.Clone(cfg.History), step)
	b, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	return ss.Compose(ctx, store.Composed{Config: b, Layers: layers, Parent: base.ID, Names: names})
}

// base finds the container's image and keeps it for as long as the session lives.
func (s *Service) base(ctx context.Context, st *store.Store, ss *store.Session, c *sandbox.Snapshot) (*store.Image, error) {
	m, err := st.Inspect(c.Spec.ImageID)
	if err != nil {
		return nil, fmt.Errorf("the container's image: %w", err)
	}
	need := []image.Digest{m.ID}
	for _, l := range m.Layers {
		need = append(need, l.Digest, l.DiffID)
	}
	return m, ss.Add(ctx, need...)
}

// committed are the settings of the new image: the container's, with the changes.
func committed(c *sandbox.Snapshot, changes []string) (image.Settings, error) {
	s := c.Spec
	out := image.Settings{
		User: s.Process.User.Spec, ExposedPorts: s.Config.ExposedPorts, Env: s.Config.Env, Entrypoint: s.Config.Entrypoint, Cmd: s.Config.Cmd,
		Volumes: s.Config.Volumes, WorkingDir: s.Process.Dir, Labels: s.Labels, StopSignal: s.Process.StopSignal, OnBuild: s.Config.OnBuild,
		StopTimeout: s.Process.StopTimeout, Shell: s.Config.Shell,
	}
	if h := s.Health; h != nil {
		out.Healthcheck = &image.Healthcheck{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, StartInterval: h.StartInterval, Retries: h.Retries}
	}
	for _, line := range changes {
		if err := change(&out, line); err != nil {
			return out, err
		}
	}
	return out, nil
}

// change applies one Dockerfile instruction of those that Docker's commit knows.
func change(s *image.Settings, line string) error {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return fmt.Errorf("change %q needs an argument", line)
	}
	switch strings.ToUpper(word) {
	case "CMD":
		s.Cmd = command(rest, s.Shell)
	case "ENTRYPOINT":
		s.Entrypoint = command(rest, s.Shell)
	case "USER":
		s.User = rest
	case "WORKDIR":
		s.WorkingDir = rest
	case "STOPSIGNAL":
		s.StopSignal = rest
	case "ONBUILD":
		s.OnBuild = append(slices.Clone(s.OnBuild), rest)
	case "ENV":
		k, v := pair(rest)
		env := slices.DeleteFunc(slices.Clone(s.Env), func(e string) bool { return strings.HasPrefix(e, k+"=") })
		s.Env = append(env, k+"="+v)
	case "LABEL":
		k, v := pair(rest)
		s.Labels = with(s.Labels, k, v)
	case "EXPOSE":
		for p := range strings.FieldsSeq(rest) {
			if !strings.Contains(p, "/") {
				p += "/tcp"
			}
			s.ExposedPorts = with(s.ExposedPorts, p, struct{}{})
		}
	case "VOLUME":
		list := strings.Fields(rest)
		_ = json.Unmarshal([]byte(rest), &list) // either form
		for _, v := range list {
			s.Volumes = with(s.Volumes, v, struct{}{})
		}
	default:
		return fmt.Errorf("%s is not a valid change command", word)
	}
	return nil
}

// with is a copy of a map with one more entry.
func with[V any](m map[string]V, k string, v V) map[string]V {
	out := map[string]V{k: v}
	for have, value := range m {
		if have != k {
			out[have] = value
		}
	}
	return out
}

// command reads the list or the shell form of a command.
func command(s string, shell []string) []string {
	var list []string
	if json.Unmarshal([]byte(s), &list) == nil {
		return list
	}
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(shell), s)
}

// pair reads NAME=VALUE or NAME VALUE, the value in quotes or not.
func pair(s string) (name, value string) {
	i := strings.IndexAny(s, "= ")
	if i < 0 {
		return s, ""
	}
	value = strings.TrimSpace(s[i+1:])
	if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		value = value[1 : n-1]
	}
	return s[:i], value
}
