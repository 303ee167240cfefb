package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
)

// TreeWorker unpacks and packs: what comparing trees needs.
type TreeWorker interface {
	Worker
	Packer
}

// TreeCheck is what CheckTrees works with.
type TreeCheck struct {
	MapKey string // of the id map the worker is under: trees of others cannot be read rightly
	Worker TreeWorker
	Limits layer.Limits
	Repair Repair
}

// CheckTrees compares the unpacked layers of all images with their blobs, file by file: each blob is unpacked once more beside
// its tree, and both are packed, which writes equal trees as equal streams (names, owners, modes, times, contents, attributes).
// With SetAside the fresh tree takes the place of one that differs, unless a container stands on that. Layers whose blob is
// damaged are passed over: Check tells of them.
func (s *Store) CheckTrees(ctx context.Context, c TreeCheck) (found []Problem, err error) {
	images, _ := s.List() // Check tells what cannot be read
	ss, err := s.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ss.End()) }()
	seen := map[image.Digest]bool{}
	for _, m := range images {
		for _, l := range m.Layers {
			if seen[l.DiffID] || !s.whole(layerDir(c.MapKey, l.DiffID)) {
				continue
			}
			seen[l.DiffID] = true
			p, err := ss.checkTree(ctx, c, l)
			if err != nil {
				return found, fmt.Errorf("checking layer %s: %w", l.DiffID.Short(), err)
			}
			if p != nil {
				found = append(found, *p)
			}
		}
	}
	return found, nil
}

// checkTree compares one tree; nil when it is as it should be, or cannot be told.
func (ss *Session) checkTree(ctx context.Context, c TreeCheck, l image.Layer) (*Problem, error) {
	from, _ := ss.s.findBlob(l.Digest)
	if from == nil {
		return nil, nil
	}
	blob, err := from.fs.Open(blobFile(l.Digest))
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	st, err := ss.newStage(ctx, c.MapKey, c.Worker)
	if err != nil {
		return nil, err
	}
	defer st.drop()
	f := Fetch{Layer: image.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}, DiffID: l.DiffID, MapKey: c.MapKey, Worker: c.Worker, Limits: c.Limits}
	stats, err := pour(ctx, f, &storedSource{file: blob, want: f.Layer, report: func(Phase, int64) {}}, ss.s.root+"/"+st.name)
	if errors.Is(err, ErrMismatch) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	dir := layerDir(c.MapKey, l.DiffID)
	if stats.DiffID != l.DiffID {
		return &Problem{File: dir, What: "its blob unpacks to another layer: remove the image and pull it again"}, nil
	}
	same, err := equalTrees(ctx, c.Worker, ss.s.root+"/"+dir, ss.s.root+"/"+st.name)
	if err != nil || same {
		return nil, err
	}
	p := &Problem{File: dir, What: "its files are not the layer's"}
	if c.Repair == SetAside {
		err = ss.replaceTree(ctx, st, l.DiffID, stats, p)
	}
	return p, err
}

// replaceTree puts a fresh tree in the place of a damaged one. A container that stands on that would lose its files.
func (ss *Session) replaceTree(ctx context.Context, st *stage, diff image.Digest, stats layer.Stats, p *Problem) error {
	release, err := ss.s.Hold(ctx)
	if err != nil {
		return err
	}
	uses, err := ss.s.uses()
	defer release()
	if err != nil {
		return err
	}
	for _, u := range uses {
		if slices.Contains(u.Layers, diff) {
			p.What += ", and container " + short(u.Container) + " stands on it: remove that first"
			return nil
		}
	}
	old, err := ss.s.hideTree(layerDir(st.mapKey, diff))
	if err != nil {
		return err
	}
	if err := st.commit(diff, stats); err != nil {
		return err
	}
	p.Repaired = true
	return st.worker.RemoveTree(ctx, ss.s.root+"/"+old)
}

// equalTrees tells whether two layer directories hold the same.
func equalTrees(ctx context.Context, p Packer, a, b string) (bool, error) {
	x, err := treeDigest(ctx, p, a)
	if err != nil {
		return false, err
	}
	y, err := treeDigest(ctx, p, b)
	return x == y, err
}

func treeDigest(ctx context.Context, p Packer, dir string) (image.Digest, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	drained := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, r)
		r.Close()
		close(drained)
	}()
	stats, err := p.Pack(ctx, dir+"/fs", w, PackOptions{Owners: []string{dir}})
	w.Close()
	<-drained
	return stats.DiffID, err
}
