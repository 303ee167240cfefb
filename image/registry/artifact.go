package registry

import (
	"context"
	"io"

	"github.com/moss-sandbox/moss/image"
)

// Artifact fetches a manifest that is not necessarily an image's, and gives take its blobs in the manifest's order, the
// configuration first. r gives io.EOF only after size and digest were found right; take must read to the end. Where another
// endpoint is tried, take sees the blobs again. An index is refused with [image.ErrIndex].
func (c *Client) Artifact(ctx context.Context, ref image.Ref, take func(image.Descriptor, io.Reader) error) (Manifest, error) {
	var found Manifest
	err := c.eachEndpoint(ctx, ref, func(s *session) (err error) {
		found, err = s.artifact(ctx, ref, take)
		return err
	})
	return found, bare(err)
}

func (s *session) artifact(ctx context.Context, ref image.Ref, take func(image.Descriptor, io.Reader) error) (Manifest, error) {
	m, err := s.manifest(ctx, ref)
	if err != nil {
		return m, err
	}
	parsed, err := image.ParseManifest(m.Bytes, m.Descriptor.MediaType)
	if err != nil {
		return m, badManifest(ref, err)
	}
	for _, blob := range append([]image.Descriptor{parsed.Config}, parsed.Layers...) {
		d := s.download(ctx, blob)
		err := take(blob, d)
		_ = d.Close()
		if d.err != nil && d.err != io.EOF {
			return m, d.err // ours tells more than what the taker saw of it
		}
		if err != nil {
			return m, fromSink(err)
		}
	}
	return m, nil
}
