package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Media types moss reads and writes.
const (
	TypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	TypeDockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	TypeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	TypeDockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	TypeDockerLayerTar = "application/vnd.docker.image.rootfs.diff.tar"
	TypeDockerForeign  = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	TypeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	TypeOCIIndex       = "application/vnd.oci.image.index.v1+json"
	TypeOCIConfig      = "application/vnd.oci.image.config.v1+json"
	TypeOCILayerTar    = "application/vnd.oci.image.layer.v1.tar"
	TypeOCILayer       = "application/vnd.oci.image.layer.v1.tar+gzip"
	TypeOCILayerZstd   = "application/vnd.oci.image.layer.v1.tar+zstd"

	typeSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	typeSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// Sizes of documents moss is willing to read, in bytes, and counts in them.
const (
	MaxManifestBytes = 4 << 20
	MaxConfigBytes   = 8 << 20
	MaxLayers        = 500 // the kernel's own limit for one overlay (core.md 7)
)

// Errors of manifests that callers tell apart.
var (
	ErrSchema1  = errors.New("image manifest has schema 1, which registries gave up in 2017: push the image again with a current tool")
	ErrManifest = errors.New("invalid manifest")
	ErrIndex    = errors.New("manifest is an index of several platforms")
)

// Descriptor names a blob: what it is, which one, how long.
type Descriptor struct {
	MediaType    string            `json:"mediaType,omitempty"`
	Digest       Digest            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// Foreign tells whether a layer's bytes are, by its type, not for every registry to keep.
func (d Descriptor) Foreign() bool {
	return strings.Contains(d.MediaType, ".foreign.") || strings.Contains(d.MediaType, ".nondistributable.")
}

// Manifest is one image: a configuration and layers, bottom first.
type Manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        Descriptor        `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Subject       *Descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Index is a list of manifests, one a platform.
type Index struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType,omitempty"`
	Manifests     []Descriptor      `json:"manifests"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// shape tells which document a manifest's bytes are, without trusting one field alone.
type shape struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	Config        json.RawMessage `json:"config"`
	Layers        json.RawMessage `json:"layers"`
	FSLayers      json.RawMessage `json:"fsLayers"`
	Manifests     json.RawMessage `json:"manifests"`
}

// Kind returns whether b is a manifest (false) or an index (true). Both the fields and the media types, the one inside and
// contentType (empty when the transport told none), must agree: a document that could be read as either is refused
// (CVE-2021-41190). Errors wrap ErrSchema1 or ErrManifest.
func Kind(b []byte, contentType string) (isIndex bool, err error) {
	if len(b) > MaxManifestBytes {
		return false, fmt.Errorf("%w: more than %d bytes", ErrManifest, MaxManifestBytes)
	}
	var s shape
	if err := json.Unmarshal(b, &s); err != nil {
		return false, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	contentType, _, _ = strings.Cut(contentType, ";")
	if s.FSLayers != nil || s.SchemaVersion == 1 || contentType == typeSchema1 || contentType == typeSchema1Signed {
		return false, ErrSchema1
	}
	if s.SchemaVersion != 2 {
		return false, fmt.Errorf("%w: schemaVersion is %d", ErrManifest, s.SchemaVersion)
	}
	isIndex = s.Manifests != nil
	if isIndex == (s.Layers != nil || s.Config != nil) {
		return false, fmt.Errorf("%w: it is neither clearly an image nor clearly an index", ErrManifest)
	}
	return isIndex, agree(isIndex, s.MediaType, contentType)
}

func agree(isIndex bool, types ...string) error {
	for _, t := range types {
		switch t {
		case TypeDockerManifest, TypeOCIManifest:
			if isIndex {
				return fmt.Errorf("%w: it says %s but lists platforms", ErrManifest, t)
			}
		case TypeDockerIndex, TypeOCIIndex:
			if !isIndex {
				return fmt.Errorf("%w: it says %s but lists layers", ErrManifest, t)
			}
		}
	}
	if types[0] != "" && strings.HasPrefix(types[1], "application/vnd.") && types[0] != types[1] {
		return fmt.Errorf("%w: it says %q inside, the registry says %q", ErrManifest, shorten(types[0]), shorten(types[1]))
	}
	return nil
}

// ParseManifest reads an image manifest; an index is ErrIndex.
func ParseManifest(b []byte, contentType string) (*Manifest, error) {
	isIndex, err := Kind(b, contentType)
	if err != nil {
		return nil, err
	}
	if isIndex {
		return nil, ErrIndex
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return &m, m.check()
}

func (m *Manifest) check() error {
	if err := m.Config.check("config"); err != nil {
		return err
	}
	if m.Config.Size > MaxConfigBytes {
		return fmt.Errorf("%w: config of %d bytes, more than %d", ErrManifest, m.Config.Size, MaxConfigBytes)
	}
	if len(m.Layers) > MaxLayers {
		return fmt.Errorf("%w: %d layers, more than %d", ErrManifest, len(m.Layers), MaxLayers)
	}
	for i, l := range m.Layers {
		if err := l.check(fmt.Sprintf("layer %d", i+1)); err != nil {
			return err
		}
	}
	return nil
}

func (d Descriptor) check(what string) error {
	if !d.Digest.Valid() {
		return fmt.Errorf("%w: %s: %w", ErrManifest, what, &DigestError{string(d.Digest)})
	}
	if d.Size < 0 {
		return fmt.Errorf("%w: %s has size %d", ErrManifest, what, d.Size)
	}
	return nil
}

// ParseIndex reads an index; an image manifest is an error that wraps ErrManifest.
func ParseIndex(b []byte, contentType string) (*Index, error) {
	isIndex, err := Kind(b, contentType)
	if err != nil {
		return nil, err
	}
	if !isIndex {
		return nil, fmt.Errorf("%w: it is an image, not an index", ErrManifest)
	}
	var x Index
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	for i, d := range x.Manifests {
		if err := d.check(fmt.Sprintf("entry %d", i+1)); err != nil {
			return nil, err
		}
	}
	return &x, nil
}

// PlatformError says that an index has no image for a platform, and which it has.
type PlatformError struct {
	Want Platform
	Have []Platform
}

func (e *PlatformError) Error() string {
	have := make([]string, len(e.Have))
	for i, p := range e.Have {
		have[i] = p.String()
	}
	return fmt.Sprintf("no matching manifest for %s in the manifest list entries (there is: %s)", e.Want, strings.Join(have, ", "))
}

// Select returns the manifest for a platform: an exact variant before a compatible one, else the first that runs there.
// BuildKit's attestations (platform unknown/unknown) are never chosen. A *PlatformError when nothing fits.
func (x *Index) Select(want Platform) (Descriptor, error) {
	e := &PlatformError{Want: want}
	best, found := Descriptor{}, false
	for _, d := range x.Manifests {
		if d.Platform == nil || d.Platform.OS == "unknown" {
			continue
		}
		e.Have = append(e.Have, *d.Platform)
		if !want.Runs(*d.Platform) {
			continue
		}
		if d.Platform.normal().Variant == want.normal().Variant {
			return d, nil
		}
		if !found || best.Platform.normal().Variant < d.Platform.normal().Variant {
			best, found = d, true
		}
	}
	if !found {
		return Descriptor{}, e
	}
	return best, nil
}
