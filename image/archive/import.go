package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer/compress"
	"github.com/moss-sandbox/moss/image/store"
)

// ImportOptions of Import.
type ImportOptions struct {
	Settings image.Settings // of --change
	Platform image.Platform
	Message  string
	Created  time.Time
	Names    []image.Ref
}

// Import makes an image of one layer out of a file system's tar stream, compressed or not.
func Import(ctx context.Context, r io.Reader, ss *store.Session, f store.Fetch, o ImportOptions) (*store.Image, error) {
	z, err := compress.NewReader(contextReader{ctx, r})
	if err != nil {
		return nil, err
	}
	defer z.Close()
	l, err := ss.Ingest(ctx, z, "")
	if err != nil {
		return nil, fmt.Errorf("importing: %w", err)
	}
	if err := ss.Unpack(ctx, []image.Layer{l}, f); err != nil {
		return nil, fmt.Errorf("importing: %w", err)
	}
	c := image.Config{Created: &o.Created, OS: o.Platform.OS, Architecture: o.Platform.Architecture, Variant: o.Platform.Variant, Comment: o.Message,
		Config: o.Settings, RootFS: image.RootFS{Type: "layers", DiffIDs: []image.Digest{l.DiffID}},
		History: []image.History{{Created: &o.Created, Comment: o.Message}}}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return ss.Compose(ctx, store.Composed{Config: b, Layers: []image.Layer{l}, Names: o.Names})
}

// Tar returns a layer's uncompressed stream. It is not hashed on the way.
func Tar(s *store.Store, l image.Layer) (io.ReadCloser, error) {
	f, _, err := s.OpenBlob(l.Digest)
	if err != nil {
		return nil, err
	}
	z, err := compress.NewReader(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return stream{z, f}, nil
}

type stream struct {
	*compress.Reader
	f io.Closer
}

func (s stream) Close() error {
	s.Reader.Close()
	return s.f.Close()
}
