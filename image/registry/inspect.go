package registry

import (
	"context"

	"github.com/moss-sandbox/moss/image"
)

// Inspected is what manifest inspect shows: the manifest or index behind a name and, if asked for, the images an index lists.
type Inspected struct {
	Manifest
	Children []Manifest // as in the index; Descriptor.Platform says for what
}

// InspectOptions are the flags of manifest inspect.
type InspectOptions struct {
	Children bool // --verbose: fetch the manifests an index lists
}

// ManifestInspect fetches the manifest behind a name without touching a store.
func (c *Client) ManifestInspect(ctx context.Context, ref image.Ref, opts InspectOptions) (Inspected, error) {
	var found Inspected
	err := c.eachEndpoint(ctx, ref, func(s *session) (err error) {
		found.Manifest, err = s.manifest(ctx, ref)
		if err == nil && opts.Children && found.Index {
			found.Children, err = s.children(ctx, ref, found.Manifest)
		}
		return err
	})
	return found, err
}

func (s *session) children(ctx context.Context, ref image.Ref, top Manifest) ([]Manifest, error) {
	index, err := image.ParseIndex(top.Bytes, top.Descriptor.MediaType)
	if err != nil {
		return nil, badManifest(ref, err)
	}
	children := make([]Manifest, len(index.Manifests))
	for i, entry := range index.Manifests {
		if children[i], err = s.manifest(ctx, ref.WithDigest(entry.Digest)); err != nil {
			return nil, err
		}
		children[i].Descriptor.Platform = entry.Platform
	}
	return children, nil
}
