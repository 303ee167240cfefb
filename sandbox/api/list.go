package api

import (
	"context"
	"encoding/json"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/phrase"
	"github.com/moss-sandbox/moss/sandbox/view"
	"github.com/moss-sandbox/moss/slirp"
)

// list serves GET /containers/json.
func (s *Server) list(q *request) error {
	f, err := q.filters("id", "name", "label", "exited", "status", "ancestor", "before", "since", "volume", "network", "publish", "expose", "health", "is-task", "isolation")
	if err != nil {
		return err
	}
	for _, v := range f["status"] {
		if !slices.Contains([]string{"created", "running", "paused", "restarting", "removing", "exited", "dead"}, v) {
			return badRequest("invalid filter 'status=%s'", v)
		}
	}
	limit, err := q.number("limit", 0)
	if err != nil {
		return err
	}
	all, _ := s.engine.List(q.r.Context()) // one that cannot be read is told of by the log of the command line
	sort.SliceStable(all, func(i, j int) bool { return all[i].Spec.Created.After(all[j].Spec.Created) })
	wide := q.flag("all") || limit > 0 || len(f["status"])+len(f["exited"]) > 0
	out := []*view.ContainerSummary{}
	for _, c := range all {
		if !wide && !alive(c) || limit > 0 && len(out) >= limit || !keeps(c, f, all) {
			continue
		}
		v := view.Summary(c, phrase.Status(c))
		if q.flag("size") {
			v.SizeRw, v.SizeRootFs = engine.Sizes(c)
		}
		out = append(out, v)
	}
	return q.ok(out)
}

// alive tells whether a list of what runs has a container.
func alive(c *sandbox.Snapshot) bool {
	switch c.State.Status {
	case sandbox.Running, sandbox.Paused, sandbox.Restarting:
		return true
	case sandbox.Created, sandbox.Exited, sandbox.Removing, sandbox.Dead:
	}
	return false
}

// keeps tells whether a container passes the filters.
func keeps(c *sandbox.Snapshot, f filters, all []*sandbox.Snapshot) bool {
	created := func(name string) (time.Time, bool) {
		for _, o := range all {
			if o.Spec.Name == strings.TrimPrefix(name, "/") || strings.HasPrefix(o.ID, name) {
				return o.Spec.Created, true
			}
		}
		return time.Time{}, false
	}
	return f.labels(c.Spec.Labels) &&
		f.any("id", func(v string) bool { return strings.HasPrefix(c.ID, v) }) &&
		f.any("name", func(v string) bool { return nameMatches("/"+c.Spec.Name, v) }) &&
		f.any("status", func(v string) bool { return v == string(c.State.Status) }) &&
		f.any("exited", func(v string) bool { return c.State.Status == sandbox.Exited && v == strconv.Itoa(c.State.ExitCode) }) &&
		f.any("ancestor", func(v string) bool { return isOf(c, v) }) &&
		f.any("before", func(v string) bool { t, ok := created(v); return ok && c.Spec.Created.Before(t) }) &&
		f.any("since", func(v string) bool { t, ok := created(v); return ok && c.Spec.Created.After(t) }) &&
		f.any("network", func(v string) bool { return onNetwork(c, v) }) &&
		f.any("volume", func(v string) bool { return mounts(c, v) }) &&
		f.any("publish", func(v string) bool { return published(c, v) }) &&
		f.any("expose", func(v string) bool { _, ok := c.Spec.Config.ExposedPorts[withProto(v)]; return ok }) &&
		f.any("is-task", func(v string) bool { on, err := strconv.ParseBool(v); return err == nil && !on }) &&
		f.any("health", func(v string) bool {
			return c.State.Health != nil && c.State.Health.Status == v || c.State.Health == nil && v == "none"
		})
}

// nameMatches: Docker's filter is a regular expression; what people write are words with ^ and $.
func nameMatches(name, pattern string) bool {
	word, begins := strings.CutPrefix(pattern, "^")
	word, ends := strings.CutSuffix(word, "$")
	if begins && !strings.HasPrefix(word, "/") {
		name = strings.TrimPrefix(name, "/")
	}
	switch {
	case begins && ends:
		return name == word
	case begins:
		return strings.HasPrefix(name, word)
	case ends:
		return strings.HasSuffix(name, word)
	}
	return strings.Contains(name, word)
}

// isOf tells whether a container was made of an image.
func isOf(c *sandbox.Snapshot, v string) bool {
	hex := strings.TrimPrefix(v, "sha256:")
	return v == c.Spec.Image || v+":latest" == c.Spec.Image || v == c.Spec.Image+":latest" ||
		len(hex) >= 4 && strings.HasPrefix(strings.TrimPrefix(c.Spec.ImageID, "sha256:"), hex)
}

func onNetwork(c *sandbox.Snapshot, v string) bool {
	for _, a := range engine.Attachments(c) {
		if a.NetworkName == v || a.Network == v {
			return true
		}
	}
	return c.Spec.Host.Network == v || slices.ContainsFunc(c.Spec.Host.Connected, nameIs(v))
}

func mounts(c *sandbox.Snapshot, v string) bool {
	for _, m := range c.Spec.Mounts {
		if m.Name == v || m.Target == v || m.Source == v {
			return true
		}
	}
	return false
}

func withProto(p string) string {
	if strings.Contains(p, "/") {
		return p
	}
	return p + "/tcp"
}

func published(c *sandbox.Snapshot, v string) bool {
	return slices.ContainsFunc(engine.Published(c), func(p slirp.Published) bool {
		return p.Port.String() == withProto(v) || strconv.Itoa(int(p.Host.Port())) == strings.TrimSuffix(v, "/tcp")
	})
}

// inspect serves GET /containers/{name}/json.
func (s *Server) inspect(q *request) error {
	c, err := s.engine.Find(q.r.Context(), q.vars["name"])
	if err != nil {
		return err
	}
	v := view.Inspect(c)
	v.ExecIDs = s.execs.of(c.ID)
	if q.flag("size") {
		rw, root := engine.Sizes(c)
		v.SizeRw, v.SizeRootFs = &rw, &root
	}
	return q.ok(v)
}

// pruneContainers serves POST /containers/prune.
func (s *Server) pruneContainers(q *request) error {
	f, err := q.filters("until", "label", "label!")
	if err != nil {
		return err
	}
	until, err := f.until()
	if err != nil {
		return err
	}
	size := map[string]int64{}
	gone, err := s.engine.PruneContainers(q.r.Context(), func(c *sandbox.Snapshot) bool {
		if !until.IsZero() && c.Spec.Created.After(until) || !f.labels(c.Spec.Labels) {
			return false
		}
		size[c.ID], _ = engine.Sizes(c)
		return true
	})
	if err != nil {
		return err
	}
	var freed int64
	for _, id := range gone {
		freed += size[id]
	}
	return q.ok(map[string]any{"ContainersDeleted": orNone(gone), "SpaceReclaimed": freed})
}

// orNone is a list that is [] and not null.
func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// top serves GET /containers/{name}/top.
func (s *Server) top(q *request) error {
	args := strings.Fields(q.query.Get("ps_args"))
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	columns, err := phrase.Columns(args)
	if err != nil {
		return badRequest("%v", err)
	}
	list, err := s.engine.Top(q.r.Context(), q.vars["name"])
	if err != nil {
		return err
	}
	t := columns.Rows(list)
	return q.ok(view.Top{Titles: t[0], Processes: t[1:]})
}

// usage serves GET /system/df, in the form before API 1.52.
func (s *Server) usage(q *request) error {
	ctx := q.r.Context()
	all, _ := s.engine.List(ctx)
	containers, perImage := []*view.ContainerSummary{}, map[string]int64{}
	for _, c := range all {
		v := view.Summary(c, phrase.Status(c))
		v.SizeRw, v.SizeRootFs = engine.Sizes(c)
		containers = append(containers, v)
		perImage[c.Spec.ImageID]++
	}
	list, err := s.allImages()
	if err != nil {
		return err
	}
	images, layers := []*view.ImageSummary{}, int64(0)
	for _, m := range list {
		images = append(images, view.SummaryOfImage(m, perImage[string(m.ID)]))
		layers += m.Size
	}
	volumes, err := s.volumesWithUsage(ctx)
	if err != nil {
		return err
	}
	return q.ok(map[string]any{
		"LayersSize": layers, "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": []json.RawMessage{}, "BuilderSize": 0,
	})
}

// volumesWithUsage are all volumes with their sizes and users.
func (s *Server) volumesWithUsage(ctx context.Context) ([]view.VolumeItem, error) {
	list, err := s.engine.Volumes(ctx)
	out := []view.VolumeItem{}
	for _, v := range list {
		item := *view.Volume(v)
		item.UsageData = &view.VolumeUsage{RefCount: int64(len(v.Users)), Size: engine.TreeSize(v.Dir)}
		out = append(out, item)
	}
	return out, err
}
