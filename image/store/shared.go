package store

import (
	"errors"

	"github.com/moss-sandbox/moss/image"
)

// openShared opens a read-only store beside. Nothing is made, locked or trusted there.
func openShared(dir string) *Store {
	return &Store{fs: disk{root: dir}, root: dir, bootID: readBootID}
}

// SharedImage is an image of a shared store, ready for PutImage once its layers are unpacked: manifest and configuration
// are hashed and agree.
type SharedImage struct {
	NewImage
	Parsed *image.Manifest
	Layers []image.Layer
	Store  string // root of the shared store, for the line that tells
}

// LookupShared finds a name in the shared stores, in order. ErrNotFound when none has it whole.
func (s *Store) LookupShared(r image.Ref) (*SharedImage, error) {
	var bad []error
	for _, from := range s.shared {
		m, err := s.lookupShared(from, r)
		if err == nil {
			return m, nil
		}
		bad = append(bad, err)
	}
	return nil, errors.Join(append([]error{&NotFoundError{r.Familiar()}}, bad...)...)
}

func (s *Store) lookupShared(from *Store, r image.Ref) (*SharedImage, error) {
	manifest := r.Digest
	if manifest == "" {
		n, err := from.named(r)
		if err != nil {
			return nil, err
		}
		manifest = n.Manifest
	}
	b, err := from.ReadBlob(manifest, image.MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	m, err := image.ParseManifest(b, "")
	if err != nil {
		return nil, err
	}
	cfg, err := from.ReadBlob(m.Config.Digest, image.MaxConfigBytes)
	if err != nil {
		return nil, err
	}
	c, err := image.ParseConfig(cfg)
	if err != nil {
		return nil, err
	}
	layers, err := image.Layers(m, c)
	if err != nil {
		return nil, err
	}
	names := []image.Ref{r, r.WithDigest(manifest)}
	n := NewImage{Manifest: b, MediaType: m.MediaType, Config: cfg, Names: names, Top: manifest}
	return &SharedImage{n, m, layers, from.root}, nil
}
