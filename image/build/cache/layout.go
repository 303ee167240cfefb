package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/moss-sandbox/moss/image"
)

// A Layout is a build cache in portable form: an OCI image layout (image-layout.md of OCI's image specification) with one
// manifest. Its configuration lists the entries, its layers are the steps' layers, uncompressed. It can be a directory that
// several jobs share, or travel through a registry like any image.
//
//	oci-layout, index.json
//	blobs/sha256/HEX   manifest, entries, layers
//	.lock              held while index.json is replaced
type Layout struct {
	dir     string
	entries map[Key]Entry
	order   []Key // newest first
}

// An Entry is one cached step in portable form.
type Entry struct {
	Key    Key            `json:"key"`
	Config []byte         `json:"config"` // bytes of the image's configuration
	Layers []image.Digest `json:"layers"` // diff ids of what lies in the layout; the base image's are not here
}

// MediaType is that of the list of entries.
const MediaType = "application/vnd.moss.buildcache.config.v1+json"

const (
	layerType    = "application/vnd.oci.image.layer.v1.tar"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
	maxEntries   = 2000
	maxList      = 64 << 20
)

// ErrNoCache says that a layout holds something else than a build cache.
var ErrNoCache = errors.New("it is no build cache of moss")

type listing struct {
	V       int     `json:"v"`
	Entries []Entry `json:"entries"`
}

type descriptor struct {
	MediaType string       `json:"mediaType"`
	Digest    image.Digest `json:"digest"`
	Size      int64        `json:"size"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

// OpenLayout reads a layout. A directory without one is empty; one with something else is ErrNoCache.
func OpenLayout(dir string) (*Layout, error) {
	l := &Layout{dir: dir, entries: map[Key]Entry{}}
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if errors.Is(err, os.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	if err := l.read(b); err != nil {
		return nil, fmt.Errorf("reading build cache %q: %w", dir, err)
	}
	return l, nil
}

func (l *Layout) read(b []byte) error {
	var x index
	if err := json.Unmarshal(b, &x); err != nil || len(x.Manifests) != 1 {
		return ErrNoCache
	}
	var m manifest
	if err := l.readBlob(x.Manifests[0].Digest, &m); err != nil {
		return err
	}
	if m.Config.MediaType != MediaType {
		return ErrNoCache
	}
	var list listing
	if err := l.readBlob(m.Config.Digest, &list); err != nil {
		return err
	}
	if list.V != version {
		return fmt.Errorf("%w: version %d", ErrNoCache, list.V)
	}
	for _, e := range list.Entries {
		l.put(e)
	}
	return nil
}

func (l *Layout) put(e Entry) {
	if _, ok := l.entries[e.Key]; !ok {
		l.order = append(l.order, e.Key)
	}
	l.entries[e.Key] = e
}

func (l *Layout) blob(d image.Digest) (string, error) {
	if !d.Valid() {
		return "", &image.DigestError{Text: string(d)}
	}
	return filepath.Join(l.dir, "blobs", "sha256", d.Hex()), nil
}

// readBlob reads a document whose digest is checked.
func (l *Layout) readBlob(d image.Digest, v any) error {
	name, err := l.blob(d)
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxList))
	if err != nil {
		return err
	}
	if image.SumBytes(b) != d {
		return fmt.Errorf("blob %s is damaged", d)
	}
	return json.Unmarshal(b, v)
}

// Find returns an entry.
func (l *Layout) Find(k Key) (Entry, bool) {
	e, ok := l.entries[k]
	return e, ok
}

// Layer opens a layer's tar stream. Its bytes are not checked: who stores them compares the digest.
func (l *Layout) Layer(diff image.Digest) (io.ReadCloser, error) {
	name, err := l.blob(diff)
	if err != nil {
		return nil, err
	}
	return os.Open(name)
}

// HasLayer tells whether a layer is there.
func (l *Layout) HasLayer(diff image.Digest) bool {
	name, err := l.blob(diff)
	if err != nil {
		return false
	}
	_, err = os.Stat(name)
	return err == nil
}

// PutLayer stores a layer from its tar stream, under another name first.
func (l *Layout) PutLayer(diff image.Digest, r io.Reader) error {
	name, err := l.blob(diff)
	if err != nil {
		return err
	}
	return l.write(name, r)
}

func (l *Layout) write(name string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".new-")
	if err != nil {
		return err
	}
	_, err = io.Copy(tmp, r)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// Save adds entries, whose layers must be there, to what the directory holds by now, and replaces index.json while nobody
// else does.
func (l *Layout) Save(entries []Entry) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	now, err := OpenLayout(l.dir)
	if err != nil {
		return err
	}
	merged := listing{V: version}
	for _, e := range entries {
		merged.Entries = append(merged.Entries, e)
		delete(now.entries, e.Key)
	}
	for _, k := range now.order {
		if e, ok := now.entries[k]; ok && len(merged.Entries) < maxEntries && l.complete(e) {
			merged.Entries = append(merged.Entries, e)
		}
	}
	return l.writeIndex(merged)
}

func (l *Layout) complete(e Entry) bool {
	for _, d := range e.Layers {
		if !l.HasLayer(d) {
			return false
		}
	}
	return true
}

func (l *Layout) lock() (unlock func(), err error) {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(l.dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking build cache: %w", err)
	}
	return func() { f.Close() }, nil
}

func (l *Layout) writeIndex(list listing) error {
	config, err := l.writeJSON(MediaType, list)
	if err != nil {
		return err
	}
	m := manifest{SchemaVersion: 2, MediaType: manifestType, Config: config, Layers: []descriptor{}}
	seen := map[image.Digest]bool{}
	for _, e := range list.Entries {
		for _, d := range e.Layers {
			if !seen[d] {
				seen[d] = true
				m.Layers = append(m.Layers, descriptor{MediaType: layerType, Digest: d, Size: l.size(d)})
			}
		}
	}
	md, err := l.writeJSON(manifestType, m)
	if err != nil {
		return err
	}
	if err := l.writeFile("oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}); err != nil {
		return err
	}
	return l.writeFile("index.json", index{SchemaVersion: 2, MediaType: indexType, Manifests: []descriptor{md}})
}

func (l *Layout) size(d image.Digest) int64 {
	name, err := l.blob(d)
	if err != nil {
		return 0
	}
	st, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return st.Size()
}
