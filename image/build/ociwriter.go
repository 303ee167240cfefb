package build

import (
	"bytes"
	"encoding/json"

	"github.com/moss-sandbox/moss/image"
)

// finish writes configuration, manifest and index; each tag is a reference to the manifest.
func (x *ociWriter) finish(config []byte, m image.Manifest, tags []image.Ref) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	d := image.SumBytes(b)
	files := []struct {
		name string
		data []byte
	}{
		{"blobs/sha256/" + m.Config.Digest.Hex(), config},
		{"blobs/sha256/" + d.Hex(), b},
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
	}
	idx, err := ociIndexOf(d, int64(len(b)), tags)
	if err != nil {
		return err
	}
	files = append(files, struct {
		name string
		data []byte
	}{"index.json", idx})
	for _, f := range files {
		if err := x.file(f.name, int64(len(f.data)), bytes.NewReader(f.data)); err != nil {
			return err
		}
	}
	return x.tw.Close()
}

func ociIndexOf(manifest image.Digest, size int64, tags []image.Ref) ([]byte, error) {
	type entry struct {
		MediaType   string            `json:"mediaType"`
		Digest      image.Digest      `json:"digest"`
		Size        int64             `json:"size"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	idx := struct {
		SchemaVersion int     `json:"schemaVersion"`
		MediaType     string  `json:"mediaType"`
		Manifests     []entry `json:"manifests"`
	}{SchemaVersion: 2, MediaType: ociIndex}
	for _, t := range tags {
		idx.Manifests = append(idx.Manifests, entry{ociManifest, manifest, size, map[string]string{
			"io.containerd.image.name": t.String(), "org.opencontainers.image.ref.name": t.Tag,
		}})
	}
	if len(tags) == 0 {
		idx.Manifests = []entry{{MediaType: ociManifest, Digest: manifest, Size: size}}
	}
	return json.Marshal(idx)
}
