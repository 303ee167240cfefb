package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build/cache"
)

// imports are the sources of --cache-from.
type imports struct {
	b       *builder
	layouts []*cache.Layout
	images  []Image // whose history tells which step made which layer
}

// openImports opens the sources. One that is not there is a warning: a build without cache is still right.
func (b *builder) openImports(ctx context.Context) (*imports, error) {
	x := &imports{b: b}
	if b.o.NoCache {
		return x, nil
	}
	for _, spec := range b.o.CacheFrom {
		if err := x.open(ctx, spec); err != nil {
			if ctxErr := context.Cause(ctx); ctxErr != nil {
				return nil, ctxErr
			}
			b.warn(0, fmt.Sprintf("cache %q is not used: %v", spec.Ref, err))
		}
	}
	return x, nil
}

func (x *imports) open(ctx context.Context, spec CacheSpec) error {
	if spec.Type == "local" {
		l, err := cache.OpenLayout(spec.Ref)
		if err == nil {
			x.layouts = append(x.layouts, l)
		}
		return err
	}
	err := x.pull(ctx, spec.Ref)
	if err == nil {
		return nil
	}
	img, imgErr := x.b.d.Images.Image(ctx, spec.Ref, PullMissing, x.b.plan.Platform)
	if imgErr != nil {
		return imgErr
	}
	x.images = append(x.images, img)
	return nil
}

func (x *imports) pull(ctx context.Context, name string) error {
	if x.b.d.Remote == nil {
		return errors.New("no registry")
	}
	dir, err := x.b.temp("cache-")
	if err != nil {
		return err
	}
	if err := x.b.d.Remote.PullLayout(ctx, name, dir); err != nil {
		return err
	}
	l, err := cache.OpenLayout(dir)
	if err == nil {
		x.layouts = append(x.layouts, l)
	}
	return err
}

// find takes a step out of a portable cache into the store. What is damaged or does not stand on the stage is a miss.
func (x *imports) find(ctx context.Context, s *stage, key cache.Key) (image.Digest, bool) {
	for _, l := range x.layouts {
		e, ok := l.Find(key)
		if !ok {
			continue
		}
		id, err := x.take(ctx, s, l, e)
		if err != nil {
			x.b.warn(0, fmt.Sprintf("an entry of the cache is not used: %v", err))
			continue
		}
		if err := x.b.index.Put(key, id); err == nil {
			return id, true
		}
	}
	return "", false
}

// take stores an entry's image. Its layers must begin with those of the stage (CVE-2024-24557).
func (x *imports) take(ctx context.Context, s *stage, l *cache.Layout, e cache.Entry) (image.Digest, error) {
	c, err := image.ParseConfig(e.Config)
	if err != nil {
		return "", err
	}
	diffs := c.RootFS.DiffIDs
	if len(diffs) < len(s.layers) || !slices.Equal(diffs[:len(s.layers)], s.cfg.RootFS.DiffIDs[:len(s.layers)]) {
		return "", errors.New("it stands on other layers")
	}
	layers := slices.Clone(s.layers)
	for _, d := range diffs[len(s.layers):] {
		layer, err := x.ingest(ctx, l, d)
		if err != nil {
			return "", err
		}
		layers = append(layers, layer)
	}
	return x.b.d.Images.Put(ctx, e.Config, layers, s.id)
}

func (x *imports) ingest(ctx context.Context, l *cache.Layout, diff image.Digest) (image.Layer, error) {
	r, err := l.Layer(diff)
	if err != nil {
		return image.Layer{}, err
	}
	defer r.Close()
	return x.b.d.Trees.Ingest(ctx, r, diff)
}

// probeImages looks for the step in the history of the images of --cache-from: one whose history and layers begin with
// exactly the stage's and go on with these very words.
func (s *stage) probeImages(ctx context.Context, key cache.Key, createdBy string, portable bool) (bool, error) {
	if !portable {
		return false, nil
	}
	for _, img := range s.b.imports.images {
		next, layer, ok := continues(s, img)
		if !ok || next.CreatedBy != createdBy {
			continue
		}
		fresh := s.fresh
		if err := s.commitAt(ctx, key, next, layer); err != nil {
			return false, err
		}
		s.fresh = fresh
		return true, nil
	}
	return false, nil
}

// continues returns the history entry of img that follows the stage's, and its layer.
func continues(s *stage, img Image) (image.History, *image.Layer, bool) {
	have, all := s.cfg.History, img.Config.History
	if len(all) <= len(have) || len(img.Layers) < len(s.layers) || len(img.Layers) != len(img.Config.RootFS.DiffIDs) {
		return image.History{}, nil, false
	}
	for i, h := range have {
		if h.CreatedBy != all[i].CreatedBy || h.EmptyLayer != all[i].EmptyLayer {
			return image.History{}, nil, false
		}
	}
	for i, l := range s.layers {
		if l.DiffID != img.Layers[i].DiffID {
			return image.History{}, nil, false
		}
	}
	next := all[len(have)]
	if next.EmptyLayer {
		return next, nil, true
	}
	if len(img.Layers) == len(s.layers) {
		return image.History{}, nil, false
	}
	return next, &img.Layers[len(s.layers)], true
}

// exports collects the steps for --cache-to.
type exports struct {
	wanted bool
	mu     sync.Mutex
	keys   []cache.Key
	images map[cache.Key]Image
}

func newExports(to []CacheSpec) *exports {
	return &exports{wanted: len(to) > 0, images: map[cache.Key]Image{}}
}

func (x *exports) add(k cache.Key, img Image) {
	if !x.wanted {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.images[k]; !ok {
		x.keys = append(x.keys, k)
	}
	x.images[k] = img
}

// writeCaches writes all of --cache-to.
func (b *builder) writeCaches(ctx context.Context) error {
	for _, spec := range b.o.CacheTo {
		if err := b.writeCache(ctx, spec); err != nil {
			return fmt.Errorf("exporting build cache to %q: %w", spec.Ref, err)
		}
	}
	return nil
}

func (b *builder) writeCache(ctx context.Context, spec CacheSpec) error {
	switch spec.Type {
	case "local":
		dir, err := filepath.Abs(spec.Ref)
		if err != nil {
			return err
		}
		return b.writeLayout(ctx, dir)
	case "registry":
		if b.d.Remote == nil {
			return errors.New("no registry")
		}
		dir, err := b.temp("cache-")
		if err == nil {
			err = b.writeLayout(ctx, dir)
		}
		if err != nil {
			return err
		}
		return b.d.Remote.PushLayout(ctx, spec.Ref, dir)
	}
	return fmt.Errorf("unknown type of cache %q: want local or registry", spec.Type)
}

func (b *builder) writeLayout(ctx context.Context, dir string) error {
	l, err := cache.OpenLayout(dir)
	if err != nil {
		return err
	}
	var entries []cache.Entry
	for _, k := range b.exports.keys {
		e, ok, err := b.exportEntry(ctx, l, k, b.exports.images[k])
		if err != nil {
			return err
		}
		if ok {
			entries = append(entries, e)
		}
	}
	return l.Save(entries)
}

// exportEntry writes a step's layers that no base image brings along.
func (b *builder) exportEntry(ctx context.Context, l *cache.Layout, k cache.Key, img Image) (cache.Entry, bool, error) {
	config, err := json.Marshal(img.Config)
	if err != nil || image.SumBytes(config) != img.ID {
		return cache.Entry{}, false, err
	}
	e := cache.Entry{Key: k, Config: config, Layers: []image.Digest{}}
	for _, layer := range img.Layers {
		if b.isBase(layer.DiffID) {
			continue
		}
		e.Layers = append(e.Layers, layer.DiffID)
		if l.HasLayer(layer.DiffID) {
			continue
		}
		if err := b.exportLayer(ctx, l, layer); err != nil {
			return e, false, err
		}
	}
	return e, true, nil
}

func (b *builder) exportLayer(ctx context.Context, l *cache.Layout, layer image.Layer) error {
	r, err := b.d.Trees.Tar(ctx, layer)
	if err != nil {
		return err
	}
	defer r.Close()
	return l.PutLayer(layer.DiffID, r)
}

func (b *builder) isBase(diff image.Digest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, img := range b.images {
		for _, l := range img.Layers {
			if l.DiffID == diff {
				return true
			}
		}
	}
	return false
}
