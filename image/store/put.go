package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moss-sandbox/moss/image"
)

// NewImage is what PutImage stores.
type NewImage struct {
	Manifest  []byte // bytes as they are in the registry: their digest is the image's there
	MediaType string // of the manifest
	Config    []byte // bytes whose digest is the image's id
	Names     []image.Ref
	Top       image.Digest // what the names stand for in the registry, "" if they do not come from one
	Parent    image.Digest // the image it was made of here, "" for none
}

// PutImage makes an image visible: its layers' blobs must be here or in a shared store (ErrNoBlob), manifest and
// configuration must agree (image.ErrConfig). When it returns, all of it survives a power failure. A name that pointed
// elsewhere points here afterwards.
func (ss *Session) PutImage(ctx context.Context, n NewImage) (*Image, error) {
	m, err := ss.putImage(ctx, n)
	return m, ss.s.full(err)
}

func (ss *Session) putImage(ctx context.Context, n NewImage) (*Image, error) {
	m, r, err := ss.newRecord(n)
	if err != nil {
		return nil, err
	}
	for _, b := range [][]byte{n.Config, n.Manifest} {
		if _, err := ss.PutBlob(ctx, b); err != nil {
			return nil, err
		}
	}
	release, err := ss.s.Hold(ctx) // no collection between record and names
	if err != nil {
		return nil, err
	}
	defer release()
	for _, l := range m.Layers {
		if _, ok := ss.s.HasBlob(l.Digest); !ok {
			return nil, fmt.Errorf("storing image: %w: %s", ErrNoBlob, l.Digest)
		}
	}
	if err := ss.commit(r, n); err != nil {
		return nil, fmt.Errorf("storing image: %w", err)
	}
	return r.image()
}

func (ss *Session) newRecord(n NewImage) (*image.Manifest, *record, error) {
	m, err := image.ParseManifest(n.Manifest, n.MediaType)
	if err != nil {
		return nil, nil, err
	}
	c, err := image.ParseConfig(n.Config)
	if err != nil {
		return nil, nil, err
	}
	id := image.SumBytes(n.Config)
	if id != m.Config.Digest {
		return nil, nil, &MismatchError{What: "configuration", Want: m.Config.Digest, Got: id}
	}
	layers, err := image.Layers(m, c)
	if err != nil {
		return nil, nil, err
	}
	if n.MediaType == "" {
		n.MediaType = m.MediaType
	}
	d := image.Descriptor{MediaType: n.MediaType, Digest: image.SumBytes(n.Manifest), Size: int64(len(n.Manifest))}
	r := &record{V: version, ID: id, Manifests: []image.Descriptor{d}, Layers: layers, Stored: time.Now().UTC(), Parent: n.Parent, Config: withoutHistory(c)}
	for i, l := range layers {
		layers[i].Unpacked = ss.s.about(l.Digest).Unpacked
		r.Size += layers[i].Unpacked
	}
	return m, r, nil
}

func withoutHistory(c *image.Config) *image.Config {
	short := *c
	short.History = nil
	return &short
}

// commit writes in the order that no crash can turn into a name without its bytes: blobs' directory, record, names.
func (ss *Session) commit(r *record, n NewImage) error {
	ss.mu.Lock()
	dirty := ss.dirty
	ss.mu.Unlock()
	if dirty {
		if err := ss.s.fs.SyncDir(blobDir); err != nil {
			return err
		}
	}
	ss.keepKnown(r)
	if err := ss.s.writeJSON("images", r.ID.Hex()+".json", r); err != nil {
		return err
	}
	for _, name := range n.Names {
		if err := ss.s.writeName(name, r.ID, r.Manifests[0].Digest, n.Top); err != nil {
			return err
		}
	}
	ss.mu.Lock()
	ss.put, ss.dirty = true, false
	ss.mu.Unlock()
	return nil
}

// keepKnown adds what is known of the same image already: its parent, and the manifests of the same layers compressed
// otherwise, or in another registry's wording.
func (ss *Session) keepKnown(r *record) {
	old, err := ss.s.load(r.ID)
	if err != nil {
		return
	}
	r.Parent = cmp.Or(r.Parent, old.Parent)
	for _, d := range append([]image.Descriptor{old.Manifest}, old.Others...) {
		known := slices.ContainsFunc(r.Manifests, func(x image.Descriptor) bool { return x.Digest == d.Digest })
		if _, ok := ss.s.HasBlob(d.Digest); ok && !known {
			r.Manifests = append(r.Manifests, d)
		}
	}
}

// Tag gives an image one more name; the name leaves the image it had.
func (s *Store) Tag(ctx context.Context, source string, name image.Ref) error {
	release, err := s.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	m, err := s.Lookup(source)
	if err != nil {
		return err
	}
	return s.writeName(name, m.ID, m.Manifest.Digest, "")
}

// about is about/HEX of a layer's blob: what was learnt of it. It is a memory, not a promise: written without sync, and
// when it is lost the blob is unpacked again to learn it.
type about struct {
	V        int          `json:"v"`
	Diff     image.Digest `json:"diff,omitempty"`     // proved by unpacking
	Unpacked int64        `json:"unpacked,omitempty"` // bytes of its files
	Repos    []string     `json:"repos,omitempty"`    // domain/path, newest last
	// Packed says for a layer's uncompressed blob which blob it was compressed to, by format.
	Packed map[string]image.Digest `json:"packed,omitempty"`
}

const maxRepos = 16

func aboutFile(d image.Digest) string { return "about/" + d.Hex() }

func (s *Store) about(d image.Digest) about {
	a := about{V: version}
	if err := s.readJSON(aboutFile(d), &a); err != nil {
		return about{V: version}
	}
	return a
}

func (s *Store) setAbout(d image.Digest, a about) error {
	b, err := encode(a)
	if err != nil {
		return err
	}
	tmp := tempName("about")
	f, err := s.fs.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = s.fs.Rename(tmp, aboutFile(d))
	}
	return err
}

// HasLayer tells whether a layer is complete: its blob is here or in a shared store, is known to unpack to its diff id, and
// is unpacked under the id map.
func (s *Store) HasLayer(l image.Layer, mapKey string) bool {
	size, ok := s.HasBlob(l.Digest)
	return ok && size == l.Size && validMapKey(mapKey) && s.about(l.Digest).Diff == l.DiffID && s.whole(layerDir(mapKey, l.DiffID))
}

// Packed returns the blob an uncompressed layer was compressed to before, "" when none is known. It may be gone.
func (s *Store) Packed(diff image.Digest, format string) image.Digest {
	if d := s.about(diff).Packed[format]; d.Valid() {
		return d
	}
	return ""
}

// SetPacked remembers the compressed form of a layer's uncompressed blob.
func (s *Store) SetPacked(diff image.Digest, format string, blob image.Digest) error {
	a := s.about(diff)
	if a.Packed == nil {
		a.Packed = map[string]image.Digest{}
	}
	a.Packed[format] = blob
	if err := s.setAbout(diff, a); err != nil {
		return err
	}
	b := s.about(blob) // whoever compresses knows what it unpacks to
	b.Diff, b.Unpacked = diff, a.Unpacked
	return s.setAbout(blob, b)
}

// Origins returns the repositories (domain/path) a blob is known to be in, newest first: a push into the same registry
// mounts it from there.
func (s *Store) Origins(d image.Digest) []string {
	r := slices.Clone(s.about(d).Repos)
	slices.Reverse(r)
	return r
}

// AddOrigin remembers that a blob is in a repository.
func (s *Store) AddOrigin(d image.Digest, repository image.Ref) error {
	if !d.Valid() {
		return &image.DigestError{Text: string(d)}
	}
	a, name := s.about(d), repository.Name()
	if len(a.Repos) > 0 && a.Repos[len(a.Repos)-1] == name {
		return nil
	}
	a.Repos = append(slices.DeleteFunc(a.Repos, func(r string) bool { return r == name }), name)
	a.Repos = a.Repos[max(0, len(a.Repos)-maxRepos):]
	return s.setAbout(d, a)
}
