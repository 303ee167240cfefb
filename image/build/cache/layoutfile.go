package cache

import (
	"bytes"
	"encoding/json"
	"path/filepath"

	"github.com/moss-sandbox/moss/image"
)

// writeJSON stores a document as a blob.
func (l *Layout) writeJSON(mediaType string, v any) (descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	d := image.SumBytes(b)
	name, err := l.blob(d)
	if err != nil {
		return descriptor{}, err
	}
	return descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}, l.write(name, bytes.NewReader(b))
}

// writeFile replaces a document that has a name.
func (l *Layout) writeFile(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return l.write(filepath.Join(l.dir, name), bytes.NewReader(b))
}
