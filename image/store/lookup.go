package store

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/image"
)

// Lookup finds an image by name, digest, id or unique beginning of an id, in Docker's order: a whole id, a name, a
// beginning. ErrNotFound, ErrAmbiguous, ErrCorrupt. It takes no lock and reads two files; Names, Digests and the history
// stay empty (Inspect fills them).
func (s *Store) Lookup(name string) (*Image, error) {
	if id, ok := wholeID(name); ok {
		return s.load(id)
	}
	r, err := image.ParseRef(name)
	if err == nil {
		m, err := s.lookupRef(r)
		if err == nil || !errors.Is(err, ErrNotFound) {
			return m, err
		}
	}
	m, prefixErr := s.lookupPrefix(name)
	if errors.Is(prefixErr, ErrNotFound) {
		if err != nil {
			return nil, err
		}
		return nil, &NotFoundError{r.Familiar()}
	}
	return m, prefixErr
}

// LookupRef is Lookup for a name alone; a digest wins over a tag beside it, as in Docker.
func (s *Store) lookupRef(r image.Ref) (*Image, error) {
	if r.Digest != "" {
		r.Tag = ""
	}
	n, err := s.named(r)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{r.Familiar()}
	}
	if err != nil {
		return nil, err
	}
	m, err := s.load(n.ID)
	if err != nil {
		return nil, err
	}
	m.Name = r
	return m, nil
}

func wholeID(s string) (image.Digest, bool) {
	d := image.Digest(s)
	if image.IsID(s) {
		d = image.Digest("sha256:" + s)
	}
	return d, d.Valid()
}

func (s *Store) lookupPrefix(name string) (*Image, error) {
	prefix := strings.TrimPrefix(name, "sha256:")
	if !image.IsIDPrefix(prefix) {
		return nil, &NotFoundError{name}
	}
	ids, err := s.ids(prefix)
	if err != nil {
		return nil, err
	}
	switch len(ids) {
	case 0:
		return nil, &NotFoundError{name}
	case 1:
		return s.load(ids[0])
	}
	return nil, &AmbiguousError{name, ids}
}

// ids lists the images whose id begins with prefix.
func (s *Store) ids(prefix string) ([]image.Digest, error) {
	files, err := s.fs.ReadDir("images")
	if err != nil {
		return nil, err
	}
	var ids []image.Digest
	for _, f := range files {
		hex, ok := strings.CutSuffix(f, ".json")
		if ok && strings.HasPrefix(hex, prefix) && image.IsID(hex) {
			ids = append(ids, image.Digest("sha256:"+hex))
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Inspect is Lookup with Names, Digests and the whole configuration.
func (s *Store) Inspect(name string) (*Image, error) {
	m, err := s.Lookup(name)
	if err != nil {
		return nil, err
	}
	all, _ := s.allNames() // what is damaged is told by List and Check
	addNames(all, map[image.Digest]*Image{m.ID: m})
	if b, err := s.ReadBlob(m.ID, image.MaxConfigBytes); err == nil { // without the blob what the record has must do
		if c, err := image.ParseConfig(b); err == nil {
			m.Config = c
		}
	}
	return m, nil
}

// List returns all images, newest first, with their names. Files that cannot be read are left out and joined into err as
// *CorruptError; the images beside it are good.
func (s *Store) List() ([]*Image, error) {
	ids, err := s.ids("")
	if err != nil {
		return nil, err
	}
	var bad []error
	byID := make(map[image.Digest]*Image, len(ids))
	images := make([]*Image, 0, len(ids))
	for _, id := range ids {
		m, err := s.load(id)
		if errors.Is(err, ErrNotFound) { // removed since
			continue
		}
		if err != nil {
			bad = append(bad, err)
			continue
		}
		byID[id] = m
		images = append(images, m)
	}
	all, err := s.allNames()
	addNames(all, byID)
	slices.SortStableFunc(images, func(a, b *Image) int { return b.Created.Compare(a.Created) })
	return images, errors.Join(append(bad, err)...)
}
