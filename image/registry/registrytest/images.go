package registrytest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/moss-sandbox/moss/image"
)

// Image is an image in memory, with all its bytes.
type Image struct {
	Manifest  []byte
	MediaType string
	Config    []byte
	Layers    []image.Layer
	Blobs     map[image.Digest][]byte // layers and config
}

// Digest is the manifest's.
func (im *Image) Digest() image.Digest { return image.SumBytes(im.Manifest) }

// Descriptor is how an index names the image.
func (im *Image) Descriptor(platform string) image.Descriptor {
	p, err := image.ParsePlatform(platform)
	if err != nil {
		panic(err)
	}
	return image.Descriptor{MediaType: im.MediaType, Digest: im.Digest(), Size: int64(len(im.Manifest)), Platform: &p}
}

// NewImage makes an image for this machine with one layer per size: a gzipped tar with one file of about so many random bytes. The
// same seed gives the same bytes.
func NewImage(t testing.TB, seed uint64, sizes ...int) *Image {
	t.Helper()
	return NewImageFor(t, "linux/"+runtime.GOARCH, seed, sizes...)
}

// NewImageFor is NewImage for another platform.
func NewImageFor(t testing.TB, platform string, seed uint64, sizes ...int) *Image {
	t.Helper()
	p, err := image.ParsePlatform(platform)
	if err != nil {
		t.Fatal(err)
	}
	im := &Image{MediaType: image.TypeOCIManifest, Blobs: map[image.Digest][]byte{}}
	config := image.Config{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, RootFS: image.RootFS{Type: "layers"}}
	manifest := image.Manifest{SchemaVersion: 2, MediaType: im.MediaType, Layers: []image.Descriptor{}}
	for i, size := range sizes {
		blob, diff := randomLayer(t, seed+uint64(i), size)
		d := im.add(blob)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diff)
		manifest.Layers = append(manifest.Layers, image.Descriptor{MediaType: image.TypeOCILayer, Digest: d, Size: int64(len(blob))})
	}
	im.Config = Encode(t, config)
	manifest.Config = image.Descriptor{MediaType: image.TypeOCIConfig, Digest: im.add(im.Config), Size: int64(len(im.Config))}
	im.Manifest = Encode(t, manifest)
	if im.Layers, err = image.Layers(&manifest, &config); err != nil {
		t.Fatal(err)
	}
	return im
}

func (im *Image) add(blob []byte) image.Digest {
	d := image.SumBytes(blob)
	im.Blobs[d] = blob
	return d
}

// randomLayer is a tar with one incompressible file, gzipped.
func randomLayer(t testing.TB, seed uint64, size int) (blob []byte, diff image.Digest) {
	t.Helper()
	content := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same each time
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	var plain, packed bytes.Buffer
	tw := tar.NewWriter(&plain)
	err := tw.WriteHeader(&tar.Header{Name: fmt.Sprintf("file-%d", seed), Mode: 0o644, Size: int64(size)})
	if err == nil {
		_, err = tw.Write(content)
	}
	if err == nil {
		err = tw.Close()
	}
	zw := gzip.NewWriter(&packed)
	if err == nil {
		_, err = zw.Write(plain.Bytes())
	}
	if err == nil {
		err = zw.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return packed.Bytes(), image.SumBytes(plain.Bytes())
}

// Index is an index of images by platform, as bytes.
func Index(t testing.TB, entries ...image.Descriptor) []byte {
	t.Helper()
	return Encode(t, image.Index{SchemaVersion: 2, MediaType: image.TypeOCIIndex, Manifests: entries})
}

// Encode is json.Marshal.
func Encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Put places an image in the registry, past passwords and faults.
func (s *Server) Put(t testing.TB, repository, tag string, im *Image) {
	t.Helper()
	for digest, blob := range im.Blobs {
		s.PutBlob(t, repository, digest, blob)
	}
	s.PutManifest(t, repository, tag, im.MediaType, im.Manifest)
}

// PutBlob places one blob.
func (s *Server) PutBlob(t testing.TB, repository string, digest image.Digest, blob []byte) {
	t.Helper()
	s.must(t, http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+string(digest), "application/octet-stream", blob)
}

// PutManifest places a manifest or index under a tag, and under its digest.
func (s *Server) PutManifest(t testing.TB, repository, tag, mediaType string, b []byte) {
	t.Helper()
	s.must(t, http.MethodPut, "/v2/"+repository+"/manifests/"+tag, mediaType, b)
}

// Has tells whether the registry has a blob or manifest: "blobs/sha256:…", "manifests/latest".
func (s *Server) Has(repository, what string) bool {
	rec := httptest.NewRecorder()
	s.inner.ServeHTTP(rec, httptest.NewRequest(http.MethodHead, "/v2/"+repository+"/"+what, http.NoBody))
	return rec.Code == http.StatusOK
}

func (s *Server) must(t testing.TB, method, target, mediaType string, body []byte) {
	t.Helper()
	req := httptest.NewRequest(method, target, bytes.NewReader(body))
	req.Header.Set("Content-Type", mediaType)
	rec := httptest.NewRecorder()
	s.inner.ServeHTTP(rec, req)
	if rec.Code/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, target, rec.Code, rec.Body)
	}
}
