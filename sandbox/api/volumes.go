package api

import (
	"net/http"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/filter"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// volumeList serves GET /volumes.
func (s *Server) volumeList(q *request) error {
	f, err := q.filters("dangling", "driver", "label", "name")
	if err != nil {
		return err
	}
	dangling, err := f.on("dangling", false)
	if err != nil {
		return err
	}
	list, err := s.engine.Volumes(q.r.Context())
	if err != nil {
		return err
	}
	out := view.VolumeList{Volumes: []view.VolumeItem{}}
	for _, v := range list {
		if f.Labels(v.Labels) &&
			f.Any("name", func(p string) bool { return filter.NameMatches(v.Name, p) }) &&
			f.Any("driver", func(p string) bool { return p == "local" }) &&
			f.Any("dangling", func(string) bool { return dangling == (len(v.Users) == 0) }) {
			out.Volumes = append(out.Volumes, *view.Volume(v))
		}
	}
	return q.ok(out)
}

// volumeInspect serves GET /volumes/{name}.
func (s *Server) volumeInspect(q *request) error {
	v, err := s.engine.Volume(q.r.Context(), q.vars["name"])
	if err != nil {
		return err
	}
	return q.ok(view.Volume(v))
}

// volumeCreate serves POST /volumes/create.
func (s *Server) volumeCreate(q *request) error {
	var r view.VolumeRequest
	if err := q.body(&r, true); err != nil {
		return err
	}
	switch {
	case r.Driver != "" && r.Driver != "local":
		return notFound("create %s: error looking up volume plugin %s: plugin %q not found", r.Name, r.Driver, r.Driver)
	case len(r.DriverOpts) > 0:
		return badRequest("create %s: options of the volume driver are not supported", r.Name)
	case r.ClusterVolumeSpec != nil:
		return badRequest("create %s: volumes of swarms are not supported", r.Name)
	}
	name, err := s.engine.CreateVolume(r.Name, r.Labels)
	if err != nil {
		return otherwise(http.StatusBadRequest, err)
	}
	v, err := s.engine.Volume(q.r.Context(), name)
	if err != nil {
		return err
	}
	q.json(http.StatusCreated, view.Volume(v))
	return nil
}

// volumeRemove serves DELETE /volumes/{name}.
func (s *Server) volumeRemove(q *request) error {
	err := s.engine.RemoveVolume(q.r.Context(), q.vars["name"])
	if err != nil && !(statusOf(err) == http.StatusNotFound && q.flag("force")) {
		return err
	}
	return q.none()
}

// pruneVolumes serves POST /volumes/prune: anonymous ones, and all with the filter all or before API 1.42.
func (s *Server) pruneVolumes(q *request) error {
	f, err := q.filters("label", "label!", "all")
	if err != nil {
		return err
	}
	all, err := f.on("all", q.version < 42)
	if err != nil {
		return err
	}
	size := map[string]int64{}
	gone, err := s.engine.PruneVolumes(q.r.Context(), func(v *engine.Volume) bool {
		if !all && !v.Anonymous() || !f.Labels(v.Labels) {
			return false
		}
		size[v.Name] = engine.TreeSize(v.Dir)
		return true
	})
	if err != nil {
		return err
	}
	report := view.VolumesPruned{VolumesDeleted: orNone(gone)}
	for _, name := range gone {
		report.SpaceReclaimed += uint64(size[name])
	}
	return q.ok(report)
}
