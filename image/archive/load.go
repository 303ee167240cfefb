package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer/compress"
	"github.com/moss-sandbox/moss/image/store"
)

// Loaded is one image that was loaded.
type Loaded struct {
	Image *store.Image
	Names []image.Ref // none: `Loaded image ID: …`
}

// Load takes the images of an archive into the store: Docker's archives of any age and OCI layouts, the archive itself
// compressed or not. f says under which id map they are unpacked. Images before an error stay loaded.
func Load(ctx context.Context, r io.Reader, ss *store.Session, f store.Fetch, p image.Platform) ([]Loaded, error) {
	z, err := compress.NewReader(r)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	a, err := readFiles(ctx, z, ss)
	if err != nil {
		return nil, err
	}
	l := &loader{files: a, fetch: f, platform: p}
	switch {
	case a.has(indexFile) && a.has(layoutFile): // the digests of manifests survive; manifest.json would lose them
		return l.layout(ctx)
	case a.has(manifestFile):
		return l.docker(ctx)
	}
	return nil, fmt.Errorf("%w: it has neither %s nor %s", ErrArchive, manifestFile, indexFile)
}

type loader struct {
	*files
	fetch    store.Fetch
	platform image.Platform
	done     []Loaded
}

// docker loads what manifest.json lists.
func (l *loader) docker(ctx context.Context) ([]Loaded, error) {
	b, err := l.bytes(manifestFile, image.MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	var list []dockerImage
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrArchive, manifestFile, err)
	}
	for _, d := range list {
		if err := l.dockerImage(ctx, d); err != nil {
			return l.done, fmt.Errorf("loading image: %w", err)
		}
	}
	return l.done, nil
}

func (l *loader) dockerImage(ctx context.Context, d dockerImage) error {
	config, err := l.bytes(d.Config, image.MaxConfigBytes)
	if err != nil {
		return err
	}
	c, err := image.ParseConfig(config)
	if err != nil {
		return err
	}
	if len(d.Layers) != len(c.RootFS.DiffIDs) {
		return fmt.Errorf("%w: it lists %d layers, the archive %d", image.ErrConfig, len(c.RootFS.DiffIDs), len(d.Layers))
	}
	layers := make([]image.Layer, len(d.Layers))
	for i, name := range d.Layers {
		if layers[i], err = l.layer(ctx, name, c.RootFS.DiffIDs[i]); err != nil {
			return err
		}
	}
	names, err := parseNames(d.RepoTags)
	if err != nil {
		return err
	}
	m, err := l.known(ctx, image.SumBytes(config), names)
	if errors.Is(err, store.ErrNotFound) {
		m, err = l.ss.Compose(ctx, store.Composed{Config: config, Layers: layers, Names: names})
	}
	if err != nil {
		return err
	}
	l.add(m, names)
	return nil
}

// known gives an image that is here already more names: the manifest it was pulled with is worth more than a new one.
func (l *loader) known(ctx context.Context, id image.Digest, names []image.Ref) (*store.Image, error) {
	s := l.ss.Store()
	m, err := s.Lookup(string(id))
	for _, n := range names {
		if err == nil {
			err = s.Tag(ctx, string(id), n)
		}
	}
	return m, err
}

// add lists an image once, with all its names.
func (l *loader) add(m *store.Image, names []image.Ref) {
	for i := range l.done {
		if l.done[i].Image.ID == m.ID {
			l.done[i].Names = append(l.done[i].Names, names...)
			return
		}
	}
	l.done = append(l.done, Loaded{m, names})
}

// layer stores and unpacks one member of a Docker archive.
func (l *loader) layer(ctx context.Context, name string, diff image.Digest) (image.Layer, error) {
	d, err := l.blob(ctx, name)
	if err != nil {
		return image.Layer{}, err
	}
	mediaType, err := l.mediaType(d.Digest)
	if err != nil {
		return image.Layer{}, err
	}
	one := image.Layer{DiffID: diff, Digest: d.Digest, Size: d.Size, MediaType: mediaType}
	return one, l.ss.Unpack(ctx, []image.Layer{one}, l.fetch)
}

func (l *loader) mediaType(d image.Digest) (string, error) {
	f, _, err := l.ss.Store().OpenBlob(d)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var head [4]byte
	n, err := io.ReadFull(f, head[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return "", err
	}
	switch compress.Detect(head[:n]) {
	case compress.Gzip:
		return image.TypeOCILayer, nil
	case compress.Zstd:
		return image.TypeOCILayerZstd, nil
	}
	return image.TypeOCILayerTar, nil
}

func parseNames(tags []string) ([]image.Ref, error) {
	var names []image.Ref
	for _, t := range tags {
		r, err := image.ParseRef(t)
		if err != nil {
			return nil, fmt.Errorf("name %q: %w", t, err)
		}
		names = append(names, r)
	}
	return names, nil
}

// layout loads what index.json lists; of an index in it the image for the platform.
func (l *loader) layout(ctx context.Context) ([]Loaded, error) {
	b, err := l.bytes(indexFile, image.MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	x, err := image.ParseIndex(b, "")
	if err != nil {
		return nil, err
	}
	for _, d := range x.Manifests {
		if d.Platform != nil && d.Platform.OS == "unknown" { // BuildKit's attestations
			continue
		}
		if err := l.manifest(ctx, d); err != nil {
			return l.done, fmt.Errorf("loading image: %w", err)
		}
	}
	return l.done, nil
}

func (l *loader) manifest(ctx context.Context, d image.Descriptor) error {
	names, err := layoutNames(d.Annotations)
	if err != nil {
		return err
	}
	b, err := l.document(ctx, d.Digest)
	if err != nil {
		return err
	}
	isIndex, err := image.Kind(b, d.MediaType)
	if err != nil {
		return err
	}
	if isIndex {
		x, err := image.ParseIndex(b, d.MediaType)
		if err != nil {
			return err
		}
		one, err := x.Select(l.platform)
		if err != nil {
			return err
		}
		d = image.Descriptor{MediaType: one.MediaType, Digest: one.Digest}
		if b, err = l.document(ctx, d.Digest); err != nil {
			return err
		}
	}
	return l.ociImage(ctx, d, b, names)
}

func (l *loader) document(ctx context.Context, want image.Digest) ([]byte, error) {
	d, err := l.digest(ctx, want)
	if err != nil {
		return nil, err
	}
	return l.ss.Store().ReadBlob(d.Digest, image.MaxManifestBytes)
}

func (l *loader) ociImage(ctx context.Context, d image.Descriptor, manifest []byte, names []image.Ref) error {
	m, err := image.ParseManifest(manifest, d.MediaType)
	if err != nil {
		return err
	}
	if _, err := l.digest(ctx, m.Config.Digest); err != nil {
		return err
	}
	config, err := l.ss.Store().ReadBlob(m.Config.Digest, image.MaxConfigBytes)
	if err != nil {
		return err
	}
	c, err := image.ParseConfig(config)
	if err != nil {
		return err
	}
	layers, err := image.Layers(m, c)
	if err != nil {
		return err
	}
	for _, one := range layers {
		if _, err := l.digest(ctx, one.Digest); err != nil {
			return err
		}
	}
	if err := l.ss.Unpack(ctx, layers, l.fetch); err != nil {
		return err
	}
	im, err := l.ss.PutImage(ctx, store.NewImage{Manifest: manifest, MediaType: d.MediaType, Config: config, Names: names})
	if err != nil {
		return err
	}
	l.add(im, names)
	return nil
}

// layoutNames are the names tools put into annotations: containerd and Docker a whole name, others a name or only a tag,
// which alone names nothing.
func layoutNames(annotations map[string]string) ([]image.Ref, error) {
	if n := annotations["io.containerd.image.name"]; n != "" {
		return parseNames([]string{n})
	}
	n := annotations["org.opencontainers.image.ref.name"]
	r, err := image.ParseRepository(n)
	if n == "" || err != nil || r.Tag == "" {
		return nil, nil
	}
	return []image.Ref{r}, nil
}
