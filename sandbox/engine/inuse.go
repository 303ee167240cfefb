package engine

import (
	"path/filepath"
	"strings"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox"
)

// inUse tells the image store what containers stand on.
func (e *Engine) inUse() ([]store.Use, error) {
	all, err := e.Dirs.List()
	if err != nil {
		return nil, err
	}
	var out []store.Use
	for _, s := range all {
		n, err := s.Look()
		if err != nil {
			continue // one that cannot be read must not keep the others' images
		}
		u := store.Use{Container: s.ID, Image: image.Digest(n.Spec.ImageID), Running: n.State.Status == sandbox.Running || n.State.Status == sandbox.Paused}
		for _, t := range n.Spec.Root.Trees {
			for _, l := range t.Lower {
				if d, ok := e.layerOf(l); ok {
					u.Layers = append(u.Layers, d)
				}
			}
		}
		out = append(out, u)
	}
	return out, nil
}

// layerOf is the diff id of a layer's directory: <data>/layers/MAP/HEX/fs.
func (e *Engine) layerOf(dir string) (image.Digest, bool) {
	rel, ok := strings.CutPrefix(dir, filepath.Join(e.Dirs.Data, "layers")+"/")
	if !ok {
		return "", false
	}
	parts := strings.Split(rel, "/")
	if len(parts) < 2 {
		return "", false
	}
	d := image.Digest("sha256:" + parts[1])
	return d, d.Valid()
}
