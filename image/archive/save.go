package archive

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/store"
)

// Item is one image to save, and the names it is saved under; none: by its id alone.
type Item struct {
	Image *store.Image
	Names []image.Ref
}

// The members of an archive that are no blobs.
const (
	layoutFile   = "oci-layout"
	indexFile    = "index.json"
	manifestFile = "manifest.json"
	reposFile    = "repositories"
	layout       = `{"imageLayoutVersion":"1.0.0"}`
)

// dockerImage is an entry of manifest.json.
type dockerImage struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// Save writes images into one archive. Equal images and names give equal bytes; layers go as they are stored, compressed or
// not, each once.
func Save(ctx context.Context, w io.Writer, s *store.Store, items []Item) error {
	a := &saver{s: s, tw: tar.NewWriter(w), written: map[image.Digest]bool{}, repos: map[string]map[string]string{}}
	a.index = image.Index{SchemaVersion: 2, MediaType: image.TypeOCIIndex, Manifests: []image.Descriptor{}}
	for _, it := range items {
		if err := a.image(ctx, it); err != nil {
			return fmt.Errorf("saving %s: %w", it.Image.ID.Short(), err)
		}
	}
	return a.finish()
}

type saver struct {
	s       *store.Store
	tw      *tar.Writer
	written map[image.Digest]bool
	index   image.Index
	docker  []dockerImage
	repos   map[string]map[string]string // repository → tag → id, as old dockers read it
}

func blobName(d image.Digest) string { return "blobs/sha256/" + d.Hex() }

func (a *saver) image(ctx context.Context, it Item) error {
	m := it.Image
	b, err := a.s.ReadBlob(m.Manifest.Digest, image.MaxManifestBytes)
	if err != nil {
		return err
	}
	mf, err := image.ParseManifest(b, "")
	if err != nil {
		return err
	}
	d := dockerImage{Config: blobName(m.ID), RepoTags: []string{}, Layers: []string{}}
	for _, l := range mf.Layers {
		d.Layers = append(d.Layers, blobName(l.Digest))
	}
	for _, blob := range append([]image.Descriptor{{Digest: m.Manifest.Digest}, {Digest: m.ID}}, mf.Layers...) {
		if err := a.blob(ctx, blob.Digest); err != nil {
			return err
		}
	}
	a.name(it, &d)
	a.docker = append(a.docker, d)
	return nil
}

// name lists an image under its names in all three tables.
func (a *saver) name(it Item, d *dockerImage) {
	desc := image.Descriptor{MediaType: it.Image.Manifest.MediaType, Digest: it.Image.Manifest.Digest, Size: it.Image.Manifest.Size}
	if len(it.Names) == 0 {
		a.index.Manifests = append(a.index.Manifests, desc)
	}
	for _, n := range it.Names {
		desc.Annotations = map[string]string{"io.containerd.image.name": n.String(), "org.opencontainers.image.ref.name": n.Tag}
		a.index.Manifests = append(a.index.Manifests, desc)
		d.RepoTags = append(d.RepoTags, n.Familiar())
		if a.repos[n.FamiliarName()] == nil {
			a.repos[n.FamiliarName()] = map[string]string{}
		}
		a.repos[n.FamiliarName()][n.Tag] = it.Image.ID.Hex()
	}
}

func (a *saver) blob(ctx context.Context, d image.Digest) error {
	if a.written[d] {
		return nil
	}
	a.written[d] = true
	f, size, err := a.s.OpenBlob(d)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := a.header(blobName(d), size); err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{a.tw}, contextReader{ctx, f}, make([]byte, 256<<10))
	return err
}

func (a *saver) header(name string, size int64) error {
	return a.tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR})
}

func (a *saver) finish() error {
	for _, f := range []struct {
		name string
		v    any
	}{{layoutFile, json.RawMessage(layout)}, {indexFile, a.index}, {manifestFile, a.docker}, {reposFile, a.repos}} {
		b, err := json.Marshal(f.v)
		if err != nil {
			return err
		}
		if err := a.header(f.name, int64(len(b))); err != nil {
			return err
		}
		if _, err := a.tw.Write(b); err != nil {
			return err
		}
	}
	return a.tw.Close()
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
