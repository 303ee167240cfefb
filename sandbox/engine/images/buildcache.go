package images

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/registry"
)

// remoteCache moves build caches to and from registries: an OCI layout with one manifest, whose blobs travel as they are.
type remoteCache struct{ s *Service }

var _ build.Remote = (*remoteCache)(nil)

// PushLayout implements build.Remote.
func (r *remoteCache) PushLayout(ctx context.Context, name, dir string) error {
	ref, err := image.ParseRef(name)
	if err != nil {
		return err
	}
	up, err := layoutUpload(dir)
	if err != nil {
		return err
	}
	up.Tag = ref.Tag
	c, err := r.s.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Push(ctx, ref, []registry.Upload{up}, layoutSource(dir), registry.Silent{})
	return err
}

// layoutUpload is the one manifest of a layout and what it lists.
func layoutUpload(dir string) (up registry.Upload, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return up, err
	}
	var index struct {
		Manifests []image.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(b, &index); err != nil || len(index.Manifests) != 1 {
		return up, fmt.Errorf("%q is no layout with one manifest", dir)
	}
	top := index.Manifests[0]
	if up.Manifest, err = os.ReadFile(layoutBlob(dir, top.Digest)); err != nil {
		return up, err
	}
	up.MediaType = top.MediaType
	m, err := image.ParseManifest(up.Manifest, top.MediaType)
	if err != nil {
		return up, err
	}
	if up.Config, err = os.ReadFile(layoutBlob(dir, m.Config.Digest)); err != nil {
		return up, err
	}
	for _, l := range m.Layers {
		up.Layers = append(up.Layers, image.Layer{DiffID: l.Digest, Digest: l.Digest, Size: l.Size, MediaType: l.MediaType})
	}
	return up, nil
}

func layoutBlob(dir string, d image.Digest) string {
	return filepath.Join(dir, "blobs", "sha256", d.Hex())
}

// layoutSource opens the blobs of a layout in a directory.
type layoutSource string

// Open implements registry.Source.
func (dir layoutSource) Open(_ context.Context, d image.Digest) (io.ReadCloser, error) {
	return os.Open(layoutBlob(string(dir), d))
}

// Origins implements registry.Source.
func (layoutSource) Origins(image.Digest) []string { return nil }

// Landed implements registry.Source.
func (layoutSource) Landed(string, image.Digest) {}

// PullLayout implements build.Remote. dir must be empty; after an error what is in it is worthless.
func (r *remoteCache) PullLayout(ctx context.Context, name, dir string) error {
	ref, err := image.ParseRef(name)
	if err != nil {
		return err
	}
	c, err := r.s.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o700); err != nil {
		return err
	}
	m, err := c.Artifact(ctx, ref, func(d image.Descriptor, blob io.Reader) error {
		return writeBlob(layoutBlob(dir, d.Digest), blob)
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(layoutBlob(dir, m.Descriptor.Digest), m.Bytes, 0o600); err != nil {
		return err
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []image.Descriptor{m.Descriptor}})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "index.json"), index, 0o600)
}

func writeBlob(name string, r io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
