package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox/engine/images"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// allImages are the images that can be read, newest first.
func (s *Server) allImages() ([]*store.Image, error) {
	st, err := s.engine.Images()
	if err != nil {
		return nil, err
	}
	list, err := st.List()
	if list == nil && err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b *store.Image) int { return b.Created.Compare(a.Created) })
	return list, nil
}

// find finds an image by a name or id.
func (s *Server) findImage(name string) (*store.Image, error) {
	st, err := s.engine.Images()
	if err != nil {
		return nil, err
	}
	m, err := st.Inspect(name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, noImage(name)
	}
	return m, otherwise(http.StatusBadRequest, err)
}

// imageList serves GET /images/json.
func (s *Server) imageList(q *request) error {
	f, err := q.filters("dangling", "label", "label!", "before", "since", "reference", "until")
	if err != nil {
		return err
	}
	if old := q.query.Get("filter"); old != "" { // before API 1.41
		f.Set["reference"] = append(f.Set["reference"], old)
	}
	keep, err := s.imageFilter(f)
	if err != nil {
		return err
	}
	list, err := s.allImages()
	if err != nil {
		return err
	}
	counts, steps := s.containersOf(q), store.Intermediate(list)
	out := []*view.ImageSummary{}
	for _, m := range list {
		if !keep(m) || steps[m.ID] && !q.flag("all") {
			continue
		}
		v := view.SummaryOfImage(m, counts(m))
		if len(f.Set["reference"]) > 0 {
			v.RepoTags = slices.DeleteFunc(v.RepoTags, func(t string) bool { return !f.Any("reference", func(p string) bool { return referenceMatches(t, p) }) })
		}
		if q.version >= 44 {
			v.VirtualSize = 0
		}
		if q.version < 43 && len(v.RepoTags) == 0 {
			v.RepoTags = []string{"<none>:<none>"}
		}
		if q.version < 43 && len(v.RepoDigests) == 0 {
			v.RepoDigests = []string{"<none>@<none>"}
		}
		out = append(out, v)
	}
	return q.ok(out)
}

// containersOf counts containers by their image; -1 where it was not asked for.
func (s *Server) containersOf(q *request) func(*store.Image) int64 {
	all, _ := s.engine.List(q.r.Context())
	n := map[string]int64{}
	for _, c := range all {
		n[c.Spec.ImageID]++
	}
	return func(m *store.Image) int64 { return n[string(m.ID)] }
}

// imageFilter makes a test of the filters of a list.
func (s *Server) imageFilter(f filters) (func(*store.Image) bool, error) {
	until, err := f.until()
	if err != nil {
		return nil, err
	}
	if _, err := f.on("dangling", false); err != nil {
		return nil, err
	}
	var before, since *store.Image
	for name, to := range map[string]**store.Image{"before": &before, "since": &since} {
		for _, v := range f.Set[name] {
			if *to, err = s.findImage(v); err != nil {
				return nil, err
			}
		}
	}
	return func(m *store.Image) bool {
		switch {
		case !f.Labels(m.Config.Config.Labels),
			!until.IsZero() && m.Created.After(until),
			before != nil && !m.Created.Before(before.Created),
			since != nil && !m.Created.After(since.Created):
			return false
		}
		return f.Any("dangling", func(v string) bool { on, _ := f.on("dangling", false); return on == (len(m.Names) == 0) }) &&
			f.Any("reference", func(p string) bool {
				return slices.ContainsFunc(m.Names, func(n image.Ref) bool { return referenceMatches(n.Familiar(), p) })
			})
	}, nil
}

// referenceMatches compares a familiar name with a pattern of path.Match, with and without the tag.
func referenceMatches(name, pattern string) bool {
	repo, _, _ := strings.Cut(name, "@")
	if i := strings.LastIndexByte(repo, ':'); i > strings.LastIndexByte(repo, '/') {
		repo = repo[:i]
	}
	for _, s := range []string{name, repo} {
		if ok, err := path.Match(pattern, s); err == nil && ok {
			return true
		}
	}
	return false
}

// imageInspect serves GET /images/{name}/json.
func (s *Server) imageInspect(q *request) error {
	m, err := s.findImage(q.vars["name"])
	if err != nil {
		return err
	}
	return q.ok(view.InspectImage(m, s.engine.LayerDirs(m)))
}

// imageHistory serves GET /images/{name}/history.
func (s *Server) imageHistory(q *request) error {
	m, err := s.findImage(q.vars["name"])
	if err != nil {
		return err
	}
	steps, err := s.images.History(string(m.ID))
	if err != nil {
		return err
	}
	out := []view.ImageStep{}
	for i, h := range steps {
		step := view.ImageStep{ID: h.ID, Created: h.Created.Unix(), CreatedBy: h.CreatedBy, Comment: h.Comment, Size: h.Size}
		if i == 0 {
			for _, n := range m.Names {
				step.Tags = append(step.Tags, n.Familiar())
			}
		}
		out = append(out, step)
	}
	return q.ok(out)
}

// tag serves POST /images/{name}/tag.
func (s *Server) tag(q *request) error {
	target := q.query.Get("repo")
	if t := q.query.Get("tag"); t != "" {
		target += ":" + t
	}
	err := s.images.Tag(q.r.Context(), q.vars["name"], target)
	if errors.Is(err, store.ErrNotFound) {
		return noImage(q.vars["name"])
	}
	if err != nil {
		return otherwise(http.StatusBadRequest, err)
	}
	q.w.WriteHeader(http.StatusCreated)
	return nil
}

// imageRemove serves DELETE /images/{name}.
func (s *Server) imageRemove(q *request) error {
	r, err := s.images.Remove(q.r.Context(), q.vars["name"], q.flag("force"))
	if errors.Is(err, store.ErrNotFound) {
		return noImage(q.vars["name"])
	}
	if err != nil {
		return err
	}
	return q.ok(deleted(r))
}

func deleted(r store.Removed) []view.ImageDeleted {
	out := []view.ImageDeleted{}
	for _, u := range r.Untagged {
		out = append(out, view.ImageDeleted{Untagged: u})
	}
	for _, d := range r.Deleted {
		out = append(out, view.ImageDeleted{Deleted: string(d)})
	}
	return out
}

// pruneImages serves POST /images/prune.
func (s *Server) pruneImages(q *request) error {
	f, err := q.filters("dangling", "label", "label!", "until")
	if err != nil {
		return err
	}
	only, err := f.on("dangling", true)
	if err != nil {
		return err
	}
	until, err := f.until()
	if err != nil {
		return err
	}
	st, err := s.engine.Images()
	if err != nil {
		return err
	}
	r, err := st.Prune(q.r.Context(), store.PruneOptions{All: !only, Worker: s.images.Worker(), Keep: func(m *store.Image) bool {
		return !f.Labels(m.Config.Config.Labels) || !until.IsZero() && m.Created.After(until)
	}})
	if err != nil {
		return err
	}
	return q.ok(map[string]any{"ImagesDeleted": deleted(r), "SpaceReclaimed": r.Freed})
}

// pruneBuild serves POST /build/prune: what builds keep is bounded by itself.
func (s *Server) pruneBuild(q *request) error {
	return q.ok(map[string]any{"CachesDeleted": []string{}, "SpaceReclaimed": 0})
}

// imageSave serves GET /images/get and /images/{name}/get.
func (s *Server) imageSave(q *request) error {
	names := q.query["names"]
	if name := q.vars["name"]; name != "" {
		names = []string{name}
	}
	if len(names) == 0 {
		return badRequest("no image named: parameter names is missing")
	}
	for _, n := range names {
		if _, err := s.findImage(n); err != nil {
			return err
		}
	}
	q.w.Header().Set("Content-Type", "application/x-tar")
	return s.images.Save(q.r.Context(), q.w, names)
}

// imageLoad serves POST /images/load.
func (s *Server) imageLoad(q *request) error {
	loaded, err := s.images.Load(q.r.Context(), q.r.Body)
	if err != nil && len(loaded) == 0 {
		return otherwise(http.StatusBadRequest, err)
	}
	out := q.stream()
	for _, l := range loaded {
		if len(l.Names) == 0 {
			_ = out.send(message{Stream: "Loaded image ID: " + string(l.Image.ID) + "\n"})
		}
		for _, n := range l.Names {
			_ = out.send(message{Stream: "Loaded image: " + n.Familiar() + "\n"})
		}
	}
	if err != nil {
		return out.send(failure(err, 0))
	}
	return nil
}

// commit serves POST /commit.
func (s *Server) commit(q *request) error {
	_, _ = io.Copy(io.Discard, io.LimitReader(q.r.Body, maxBody))
	name := q.query.Get("repo")
	if t := q.query.Get("tag"); t != "" && name != "" {
		name += ":" + t
	}
	o := images.Commit{
		Container: q.query.Get("container"), Name: name, Author: q.query.Get("author"), Message: q.query.Get("comment"),
		NoPause: q.query.Has("pause") && !q.flag("pause"),
	}
	for _, text := range q.query["changes"] {
		for line := range strings.SplitSeq(text, "\n") {
			if strings.TrimSpace(line) != "" {
				o.Changes = append(o.Changes, line)
			}
		}
	}
	id, err := s.images.Commit(q.r.Context(), o)
	if err != nil {
		return otherwise(http.StatusBadRequest, err)
	}
	q.json(http.StatusCreated, map[string]string{"Id": string(id)})
	return nil
}

// search serves GET /images/search.
func (s *Server) search(q *request) error {
	limit, err := q.number("limit", 0)
	if err != nil {
		return err
	}
	f, err := q.filters("stars", "is-official", "is-automated")
	if err != nil {
		return err
	}
	client, err := s.client(q)
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := client.Search(q.r.Context(), q.query.Get("term"), limit)
	if err != nil {
		return err
	}
	out := []view.SearchResult{}
	for _, r := range found {
		v := view.SearchResult{Name: r.Name, Description: r.Description, StarCount: r.Stars, IsOfficial: r.Official}
		if official, _ := f.on("is-official", r.Official); official == r.Official {
			out = append(out, v)
		}
	}
	return q.ok(out)
}

// client is a registry client with the login that the request carries.
func (s *Server) client(q *request) (*registry.Client, error) {
	l, err := q.login()
	if err != nil {
		return nil, err
	}
	return s.images.As(l).Client()
}

// distribution serves GET /distribution/{name}/json.
func (s *Server) distribution(q *request) error {
	ref, err := image.ParseRef(q.vars["name"])
	if err != nil {
		return badRequest("%v", err)
	}
	client, err := s.client(q)
	if err != nil {
		return err
	}
	defer client.Close()
	m, err := client.ManifestInspect(q.r.Context(), ref, registry.InspectOptions{Children: true})
	if err != nil {
		return err
	}
	platforms := []any{}
	for _, c := range m.Children {
		if c.Descriptor.Platform != nil {
			platforms = append(platforms, c.Descriptor.Platform)
		}
	}
	if len(platforms) == 0 {
		p, err := onlyPlatform(q.r.Context(), client, ref)
		if err != nil {
			return err
		}
		platforms = append(platforms, p)
	}
	d := m.Descriptor
	return q.ok(map[string]any{
		"Descriptor": map[string]any{"mediaType": d.MediaType, "digest": d.Digest, "size": d.Size}, "Platforms": platforms,
	})
}

// onlyPlatform is that of an image without an index.
func onlyPlatform(ctx context.Context, c *registry.Client, ref image.Ref) (any, error) {
	im, err := c.Resolve(ctx, ref, nil)
	if err != nil {
		return nil, err
	}
	return map[string]string{"os": im.Parsed.OS, "architecture": im.Parsed.Architecture}, nil
}
