package transfer

import (
	"context"
	"fmt"
	"io"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer/compress"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/image/store"
)

// Source gives a push what it sends, from a store.
type Source struct{ Store *store.Store }

var _ registry.Source = Source{}

// Open implements registry.Source.
func (s Source) Open(_ context.Context, d image.Digest) (io.ReadCloser, error) {
	f, _, err := s.Store.OpenBlob(d)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Origins implements registry.Source.
func (s Source) Origins(d image.Digest) []string { return s.Store.Origins(d) }

// Landed implements registry.Source.
func (s Source) Landed(repository string, blob image.Digest) {
	if r, err := image.ParseRepository(repository); err == nil {
		_ = s.Store.AddOrigin(blob, r) // a memory: losing it costs a later push some bytes
	}
}

// Upload prepares an image for a push. What was pulled goes out byte for byte as it came; layers made here are compressed
// now, once, and the manifest that says so is kept with the image.
func Upload(ctx context.Context, ss *store.Session, m *store.Image, tag string, f compress.Format) (registry.Upload, error) {
	s := ss.Store()
	up := registry.Upload{Tag: tag, Layers: m.Layers, MediaType: m.Manifest.MediaType}
	var err error
	if up.Config, err = s.ReadBlob(m.ID, image.MaxConfigBytes); err != nil {
		return up, err
	}
	if up.Manifest, err = s.ReadBlob(m.Manifest.Digest, image.MaxManifestBytes); err != nil {
		return up, err
	}
	plain := false
	layers := make([]image.Layer, len(m.Layers))
	for i, l := range m.Layers {
		layers[i] = l
		if l.DiffID == l.Digest {
			plain = true
			if layers[i], err = packed(ctx, ss, l, f); err != nil {
				return up, err
			}
		}
	}
	if !plain {
		return up, nil
	}
	return recompose(ctx, ss, up, m, layers)
}

// recompose stores the image once more under a manifest with its compressed layers.
func recompose(ctx context.Context, ss *store.Session, up registry.Upload, m *store.Image, layers []image.Layer) (registry.Upload, error) {
	made, err := ss.Compose(ctx, store.Composed{Config: up.Config, Layers: layers})
	if err != nil {
		return up, fmt.Errorf("preparing %s for the push: %w", m.ID.Short(), err)
	}
	up.Layers, up.MediaType = made.Layers, made.Manifest.MediaType
	up.Manifest, err = ss.Store().ReadBlob(made.Manifest.Digest, image.MaxManifestBytes)
	return up, err
}

// packed returns a layer compressed: as it was compressed before, if that blob is still here.
func packed(ctx context.Context, ss *store.Session, l image.Layer, f compress.Format) (image.Layer, error) {
	s := ss.Store()
	mediaType := map[compress.Format]string{compress.Plain: image.TypeOCILayerTar, compress.Gzip: image.TypeOCILayer, compress.Zstd: image.TypeOCILayerZstd}[f]
	if d := s.Packed(l.DiffID, f.String()); d != "" {
		if err := ss.Add(ctx, d); err != nil {
			return l, err
		}
		if size, ok := s.HasBlob(d); ok {
			l.Digest, l.Size, l.MediaType = d, size, mediaType
			return l, nil
		}
	}
	in, _, err := s.OpenBlob(l.Digest)
	if err != nil {
		return l, err
	}
	defer in.Close()
	w, err := ss.NewBlob(ctx)
	if err != nil {
		return l, err
	}
	defer w.Abort()
	z, err := compress.NewWriter(w, f)
	if err != nil {
		return l, err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{z}, struct{ io.Reader }{in}, make([]byte, 256<<10)); err != nil {
		return l, fmt.Errorf("compressing layer %s: %w", l.DiffID.Short(), err)
	}
	if err := z.Close(); err != nil {
		return l, fmt.Errorf("compressing layer %s: %w", l.DiffID.Short(), err)
	}
	d, err := w.Commit("")
	if err != nil {
		return l, err
	}
	l.Digest, l.Size, l.MediaType = d.Digest, d.Size, mediaType
	return l, s.SetPacked(l.DiffID, f.String(), d.Digest)
}
