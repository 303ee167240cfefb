package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/image/layer/compress"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/image/transfer"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
)

// A Service answers for one user's images.
type Service struct {
	e     *engine.Engine
	login *registry.Login // instead of what is stored
}

// New returns the service of an engine.
func New(e *engine.Engine) *Service { return &Service{e: e} }

// As is the service with a login for registries that stands above what is stored; nil for none.
func (s *Service) As(l *registry.Login) *Service { return &Service{e: s.e, login: l} }

// Worker is what unpacks for it.
func (s *Service) Worker() Worker { return Worker{s.e} }

// A Pull is what to pull and how.
type Pull struct {
	Name     string
	Platform string
	AllTags  bool
}

// A Pulled is what came of it.
type Pulled struct {
	registry.Pulled
	From string // the shared store it was taken from, when the registry could not be asked
	Why  error  // and why it could not
}

// Pull brings an image from its registry; from a shared store where the registry cannot be reached or refuses for now.
func (s *Service) Pull(ctx context.Context, p Pull, progress registry.Progress) ([]Pulled, error) {
	ref, err := image.ParseRef(p.Name)
	if err != nil {
		return nil, err
	}
	opts := registry.PullOptions{AllTags: p.AllTags, SinkHashes: true}
	platform := image.HostPlatform()
	if p.Platform != "" {
		if platform, err = image.ParsePlatform(p.Platform); err != nil {
			return nil, err
		}
		opts.Platform = &platform
	}
	st, mapKey, limits, err := s.open()
	if err != nil {
		return nil, err
	}
	ss, err := st.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer ss.End()
	c, err := s.Client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if !p.AllTags {
		opts.Known = transfer.Known(st, ref, platform, mapKey)
	}
	sink := &transfer.Sink{Session: ss, Worker: s.Worker(), MapKey: mapKey, Limits: limits}
	done, err := c.Pull(ctx, ref, opts, sink, progress)
	if err != nil && !p.AllTags && s.sharedHelps(err) {
		if m, from, serr := sink.FromShared(ctx, ref); serr == nil {
			return []Pulled{{Pulled: registry.Pulled{Ref: ref, Digest: m.Manifest.Digest, ID: m.ID, Newer: true}, From: from, Why: err}}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	s.settle()
	var out []Pulled
	for _, d := range done {
		s.e.Dirs.Emit(sandbox.Event{Type: "image", Act: "pull", ID: d.Ref.Familiar(), Attrs: map[string]string{"name": d.Ref.FamiliarName()}})
		out = append(out, Pulled{Pulled: d})
	}
	return out, nil
}

// open opens the store and tells how layers are unpacked into it: the key of the user's id map, and what no layer may exceed.
func (s *Service) open() (st *store.Store, mapKey string, limits layer.Limits, err error) {
	ns, err := s.e.Namespace()
	if err != nil {
		return nil, "", limits, err
	}
	if st, err = s.e.Images(); err != nil {
		return nil, "", limits, err
	}
	limits, err = s.e.Config.Unpack()
	return st, ns.Map.Key(), limits, err
}

// sharedHelps tells whether a shared store may stand in for a registry: it could not be reached, or has had enough of us.
func (s *Service) sharedHelps(err error) bool {
	if len(s.e.Config.Stores) == 0 {
		return false
	}
	var ue *url.Error
	return errors.Is(err, registry.ErrUnreachable) || errors.Is(err, registry.ErrRateLimited) || errors.As(err, &ue)
}

// Ensure unpacks an image that is here but not under this id map.
func (s *Service) Ensure(ctx context.Context, name string) error {
	ns, err := s.e.Namespace()
	if err != nil {
		return err
	}
	st, err := s.e.Images()
	if err != nil {
		return err
	}
	m, err := st.Lookup(name)
	if err != nil {
		return err
	}
	_, err = st.Lowers(m, ns.Map.Key())
	var missing *store.NotUnpackedError
	if !errors.As(err, &missing) {
		return err
	}
	ss, err := st.Begin(ctx)
	if err != nil {
		return err
	}
	defer ss.End()
	return ss.Unpack(ctx, missing.Layers, store.Fetch{MapKey: ns.Map.Key(), Worker: s.Worker(), Limits: layer.Limits{}})
}

// Remove removes names and images.
func (s *Service) Remove(ctx context.Context, name string, force bool) (store.Removed, error) {
	return s.RemoveWith(ctx, name, store.RemoveOptions{Force: force})
}

// RemoveWith is Remove with all options; the worker is the service's.
func (s *Service) RemoveWith(ctx context.Context, name string, o store.RemoveOptions) (store.Removed, error) {
	st, err := s.e.Images()
	if err != nil {
		return store.Removed{}, err
	}
	o.Worker = s.Worker()
	r, err := st.Remove(ctx, name, o)
	for _, u := range r.Untagged {
		s.e.Dirs.Emit(sandbox.Event{Type: "image", Act: "untag", ID: u, Attrs: map[string]string{"name": u}})
	}
	for _, d := range r.Deleted {
		s.e.Dirs.Emit(sandbox.Event{Type: "image", Act: "delete", ID: string(d), Attrs: map[string]string{"name": string(d)}})
	}
	return r, err
}

// Tag gives an image one more name.
func (s *Service) Tag(ctx context.Context, source, target string) error {
	r, err := image.ParseRef(target)
	if err != nil {
		return fmt.Errorf("Error parsing reference: %q is not a valid repository/tag: %w", target, err)
	}
	if r.Digest != "" {
		return errors.New("refusing to create a tag with a digest reference")
	}
	st, err := s.e.Images()
	if err != nil {
		return err
	}
	if err := st.Tag(ctx, source, r); err != nil {
		return err
	}
	s.e.Dirs.Emit(sandbox.Event{Type: "image", Act: "tag", ID: source, Attrs: map[string]string{"name": r.Familiar()}})
	return nil
}

// Push sends an image, or with all the images of a repository, to its registry.
func (s *Service) Push(ctx context.Context, name string, all bool, progress registry.Progress) (image.Ref, []registry.PushedTag, error) {
	ref, err := image.ParseRef(name)
	if err != nil {
		return ref, nil, err
	}
	st, err := s.e.Images()
	if err != nil {
		return ref, nil, err
	}
	pushed, err := s.toPush(st, ref, all)
	if err != nil {
		return ref, nil, err
	}
	ss, err := st.Begin(ctx)
	if err != nil {
		return ref, nil, err
	}
	defer ss.End()
	var up []registry.Upload
	for _, tag := range slices.Sorted(maps.Keys(pushed)) {
		u, err := transfer.Upload(ctx, ss, pushed[tag], tag, compress.Gzip)
		if err != nil {
			return ref, nil, err
		}
		up = append(up, u)
	}
	c, err := s.Client()
	if err != nil {
		return ref, nil, err
	}
	defer c.Close()
	tags, err := c.Push(ctx, ref, up, transfer.Source{Store: st}, progress)
	return ref, tags, err
}

// toPush finds the images of a push by their tags.
func (s *Service) toPush(st *store.Store, ref image.Ref, all bool) (map[string]*store.Image, error) {
	out := map[string]*store.Image{}
	if !all {
		m, err := st.Lookup(ref.String())
		if errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("An image does not exist locally with the tag: %s", ref.FamiliarName())
		}
		if err != nil {
			return nil, err
		}
		out[ref.Tag] = m
		return out, nil
	}
	list, err := st.List()
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		for _, n := range m.Names {
			if n.Name() == ref.Name() {
				out[n.Tag] = m
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("An image does not exist locally with the tag: %s", ref.FamiliarName())
	}
	return out, nil
}

// registryName is the registry of login and logout: Docker Hub where none is named.
func registryName(name string) string {
	if name == "" {
		return "docker.io"
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://"), "/")
}

// Login checks and stores credentials.
func (s *Service) Login(ctx context.Context, name string, l registry.Login) (registry.Stored, error) {
	c, err := s.Client()
	if err != nil {
		return registry.Stored{}, err
	}
	defer c.Close()
	return c.Login(ctx, registryName(name), l)
}

// Logout removes credentials; false where there were none.
func (s *Service) Logout(ctx context.Context, name string) (bool, error) {
	c, err := s.Client()
	if err != nil {
		return false, err
	}
	defer c.Close()
	return c.Logout(ctx, registryName(name))
}
