package api

import (
	"context"
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/phrase"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// list serves GET /containers/json.
func (s *Server) list(q *request) error {
	f, err := q.filters("id", "name", "label", "exited", "status", "ancestor", "before", "since", "volume", "network", "publish", "expose", "health", "is-task", "isolation")
	if err != nil {
		return err
	}
	for _, v := range f.Set["status"] {
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
	wide := q.flag("all") || limit > 0 || len(f.Set["status"])+len(f.Set["exited"]) > 0
	out := []*view.ContainerSummary{}
	for _, c := range all {
		if !wide && !c.State.Status.Up() || limit > 0 && len(out) >= limit || !f.Container(c, all) {
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
		if !until.IsZero() && c.Spec.Created.After(until) || !f.Labels(c.Spec.Labels) {
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
