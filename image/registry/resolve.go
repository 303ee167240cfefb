package registry

import (
	"context"
	"io"
	"slices"

	"github.com/moss-sandbox/moss/image"
)

// Resolve finds out what a name is: index, manifest and config, nothing of the layers. platform nil means this machine's, and takes
// an image of another one if there is no choice. Errors: see the kinds.
func (c *Client) Resolve(ctx context.Context, ref image.Ref, platform *image.Platform) (*Image, error) {
	var found *Image
	err := c.eachEndpoint(ctx, ref, func(s *session) (err error) {
		found, err = s.resolve(ctx, ref, platform)
		return err
	})
	return found, err
}

// eachEndpoint runs use with a pulling session for each endpoint of a registry until one succeeds. What a mirror fails at is
// tried at the next; only the last endpoint's error is reported, since that is the registry itself.
func (c *Client) eachEndpoint(ctx context.Context, ref image.Ref, use func(*session) error) error {
	endpoints, err := c.endpoints(ctx, ref.Domain)
	if err != nil {
		return err
	}
	for _, e := range endpoints {
		var s *session
		openErr := c.retry(ctx, func() (err error) {
			s, err = c.open(ctx, e, ref.Path, nil, "repository:"+ref.Path+":pull")
			return err
		})
		if openErr != nil {
			err = manifestError(e, ref, openErr)
		} else if err = use(s); err == nil {
			return nil
		}
		if ctx.Err() != nil || isSinks(err) {
			return err
		}
	}
	return err
}

func (s *session) resolve(ctx context.Context, ref image.Ref, platform *image.Platform) (*Image, error) {
	top, err := s.manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	im := &Image{Ref: ref, Source: ref.Name(), Top: top.Descriptor, Manifest: top}
	if top.Index {
		im.Index = top.Bytes
		if im.Manifest, err = s.choose(ctx, ref, top, platform); err != nil {
			return nil, err
		}
	}
	manifest, err := image.ParseManifest(im.Manifest.Bytes, im.Manifest.Descriptor.MediaType)
	if err != nil {
		return nil, badManifest(ref, err)
	}
	if err := checkTypes(ref, manifest); err != nil {
		return nil, err
	}
	if im.Config, err = s.config(ctx, manifest.Config); err != nil {
		return nil, err
	}
	if countValues(im.Config) > maxValues {
		return nil, tooManyValues("config of " + ref.Familiar())
	}
	return im, im.parse(manifest, platform)
}

// choose fetches the image for a platform from an index.
func (s *session) choose(ctx context.Context, ref image.Ref, top Manifest, platform *image.Platform) (Manifest, error) {
	index, err := image.ParseIndex(top.Bytes, top.Descriptor.MediaType)
	if err != nil {
		return Manifest{}, badManifest(ref, err)
	}
	want := image.HostPlatform()
	if platform != nil {
		want = *platform
	}
	entry, err := index.Select(want)
	if err != nil {
		return Manifest{}, fail(err, "%s", ref.Familiar()).because(err).
			hint("--platform OS/ARCH takes another image; running it needs an emulator (binfmt_misc with qemu-user)")
	}
	if entry.Size > image.MaxManifestBytes {
		return Manifest{}, tooLarge(image.MaxManifestBytes)
	}
	m, err := s.manifest(ctx, ref.WithDigest(entry.Digest))
	switch {
	case err != nil:
		return Manifest{}, err
	case m.Index:
		return Manifest{}, badManifest(ref, fmtManifest("the entry for %s is an index again", want))
	case m.Descriptor.Size != entry.Size:
		return Manifest{}, fail(ErrSize, "manifest of %s for %s has %d bytes, the index says %d", ref.Familiar(), want, m.Descriptor.Size, entry.Size)
	case entry.MediaType != "" && m.Descriptor.MediaType != entry.MediaType:
		return Manifest{}, badManifest(ref, fmtManifest("the index says %q, the registry %q", foreign(entry.MediaType), foreign(m.Descriptor.MediaType)))
	}
	return m, nil
}

// checkTypes refuses artifacts (charts, signatures, WebAssembly) and layers we could not unpack, before anything is downloaded.
func checkTypes(ref image.Ref, m *image.Manifest) error {
	configs := []string{"", image.TypeDockerConfig, image.TypeOCIConfig}
	if !slices.Contains(configs, m.Config.MediaType) {
		return fail(ErrNotImage, "%s is not a container image but an artifact of type %q", ref.Familiar(), foreign(m.Config.MediaType))
	}
	for _, l := range m.Layers {
		if !knownLayer(l) {
			return fail(ErrNotImage, "%s has a layer of a type moss cannot unpack: %q", ref.Familiar(), foreign(l.MediaType))
		}
	}
	return nil
}

func knownLayer(l image.Descriptor) bool {
	switch l.MediaType {
	case image.TypeDockerLayer, image.TypeDockerLayerTar, image.TypeDockerForeign, image.TypeOCILayer, image.TypeOCILayerTar, image.TypeOCILayerZstd,
		"application/vnd.docker.image.rootfs.diff.tar.zstd",
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd":
		return true
	}
	return false
}

// config fetches a config into memory; its size was checked with the manifest.
func (s *session) config(ctx context.Context, d image.Descriptor) ([]byte, error) {
	r := s.download(ctx, d)
	defer r.Close() //nolint:errcheck // never fails
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (im *Image) parse(manifest *image.Manifest, platform *image.Platform) (err error) {
	if im.Parsed, err = image.ParseConfig(im.Config); err != nil {
		return badManifest(im.Ref, err)
	}
	if im.Layers, err = image.Layers(manifest, im.Parsed); err != nil {
		return badManifest(im.Ref, err)
	}
	if platform != nil && !platform.Runs(im.Parsed.Platform()) {
		mismatch := &image.PlatformError{Want: *platform, Have: []image.Platform{im.Parsed.Platform()}}
		return fail(mismatch, "image with reference %s was found but its platform (%s) does not match the specified platform (%s)",
			im.Ref.Familiar(), foreign(im.Parsed.Platform().String()), platform)
	}
	return nil
}
