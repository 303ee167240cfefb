package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
)

// PackOptions say how a tree becomes a layer.
type PackOptions struct {
	Newest int64    `json:"newest,omitempty"` // Unix time no entry is newer than (SOURCE_DATE_EPOCH); 0: no bound
	Omit   []string `json:"omit,omitempty"`   // paths that stay out, with all below them
	// Owners are directories with an "owners" file, top first: beside the upper, and the layers' LayerDir for a merged tree.
	// Records in extended attributes are read in any case.
	Owners []string `json:"owners,omitempty"`
}

// Packer is the part of a worker that makes layers: it runs where the owners of a tree can be read.
type Packer interface {
	// Pack writes the directory tree, an absolute path, as an uncompressed layer into w, a pipe (*os.File) the caller closes.
	// The result's DiffID is the digest of the stream.
	Pack(ctx context.Context, tree string, w io.Writer, o PackOptions) (layer.Stats, error)
}

// Pack makes a layer of a tree, an overlay's upper directory or any other: its stream becomes a blob, uncompressed, named by
// the diff id (it is compressed when it is pushed). Entries in the result of 0 mean that nothing was changed: no layer then.
func (ss *Session) Pack(ctx context.Context, p Packer, tree string, o PackOptions) (image.Layer, layer.Stats, error) {
	w, err := ss.NewBlob(ctx)
	if err != nil {
		return image.Layer{}, layer.Stats{}, err
	}
	defer w.Abort()
	stats, err := packInto(ctx, w, p, tree, o)
	if err != nil || stats.Entries == 0 {
		return image.Layer{}, stats, ss.s.full(err)
	}
	d, err := w.Commit(stats.DiffID)
	if err != nil {
		return image.Layer{}, stats, err
	}
	l := image.Layer{DiffID: d.Digest, Digest: d.Digest, Size: d.Size, Unpacked: stats.Size, MediaType: image.TypeOCILayerTar}
	a := ss.s.about(d.Digest)
	a.Diff, a.Unpacked = d.Digest, stats.Size
	return l, stats, ss.s.setAbout(d.Digest, a)
}

func packInto(ctx context.Context, w io.Writer, p Packer, tree string, o PackOptions) (layer.Stats, error) {
	r, pw, err := os.Pipe()
	if err != nil {
		return layer.Stats{}, fmt.Errorf("making a pipe: %w", err)
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, chunkBytes))
		r.Close() // a packer that still writes ends
		copied <- err
	}()
	stats, err := p.Pack(ctx, tree, pw, o)
	pw.Close()
	if copyErr := <-copied; copyErr != nil {
		return stats, copyErr
	}
	return stats, err
}

// Adopt makes a finished upper directory the tree of its own layer, so that what a build has just made is not unpacked
// again: path, an absolute path on the store's file system, is moved away. owners is the side index beside it, "" for none.
// Overlayfs takes an upper directory as a lower one as it is.
func (ss *Session) Adopt(ctx context.Context, w Worker, mapKey, path, owners string, l image.Layer, stats layer.Stats) error {
	if err := ss.Add(ctx, l.DiffID); err != nil {
		return err
	}
	st, err := ss.newStage(ctx, mapKey, w)
	if err != nil {
		return err
	}
	defer st.drop()
	stage := ss.s.root + "/" + st.name
	if err := os.Rename(path, stage+"/fs"); err != nil {
		return fmt.Errorf("adopting layer: %w", err)
	}
	if owners != "" {
		if err := os.Rename(owners, stage+"/owners"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("adopting layer: %w", err)
		}
	}
	return st.commit(l.DiffID, stats)
}

// Ingest stores an uncompressed layer stream as a blob; its digest must be diff, if that is not empty.
func (ss *Session) Ingest(ctx context.Context, r io.Reader, diff image.Digest) (image.Layer, error) {
	w, err := ss.NewBlob(ctx)
	if err != nil {
		return image.Layer{}, err
	}
	defer w.Abort()
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, chunkBytes)); err != nil {
		return image.Layer{}, fmt.Errorf("storing layer: %w", err)
	}
	d, err := w.Commit(diff)
	return image.Layer{DiffID: d.Digest, Digest: d.Digest, Size: d.Size, MediaType: image.TypeOCILayerTar}, err
}

// Composed is an image to be made of layers that are here.
type Composed struct {
	Config []byte        // its diff ids must be the layers'
	Layers []image.Layer // bottom first; without a media type they are taken for uncompressed ones
	Parent image.Digest  // the image it was made of, "" for none
	Names  []image.Ref
}

// Compose makes the manifest of a configuration and its layers and puts the image.
func (ss *Session) Compose(ctx context.Context, c Composed) (*Image, error) {
	m := image.Manifest{SchemaVersion: 2, MediaType: image.TypeOCIManifest, Layers: []image.Descriptor{},
		Config: image.Descriptor{MediaType: image.TypeOCIConfig, Digest: image.SumBytes(c.Config), Size: int64(len(c.Config))}}
	for _, l := range c.Layers {
		if l.MediaType == "" {
			l.MediaType = image.TypeOCILayerTar
		}
		m.Layers = append(m.Layers, image.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size})
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return ss.PutImage(ctx, NewImage{Manifest: b, MediaType: image.TypeOCIManifest, Config: c.Config, Names: c.Names, Parent: c.Parent})
}

// Unpack makes the missing trees of an image's layers from their blobs.
func (ss *Session) Unpack(ctx context.Context, layers []image.Layer, f Fetch) error {
	for _, l := range layers {
		one := f
		one.Layer = image.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}
		one.DiffID = l.DiffID
		if err := ss.Receive(ctx, one); err != nil {
			return fmt.Errorf("unpacking layer %s: %w", l.DiffID.Short(), err)
		}
	}
	return nil
}
