package store

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/image"
)

// nameRecord is names/NAME: one name of one image.
type nameRecord struct {
	V        int          `json:"v"`
	Name     string       `json:"name"`
	ID       image.Digest `json:"id"`
	Manifest image.Digest `json:"manifest"`
	Top      image.Digest `json:"top,omitempty"` // what the name stood for in the registry: the index, if there was one
	At       time.Time    `json:"at"`
}

// nameFile is the file of a name: readable where that fits a file name, else a hash. "%" is in no reference.
func nameFile(r image.Ref) string {
	name := r.String()
	if len(name) > 200 {
		return "names/%" + image.SumBytes([]byte(name)).Hex()
	}
	return "names/" + strings.ReplaceAll(name, "/", "%")
}

// named reads the record of a name; fs.ErrNotExist when there is none. On a caseless file system the content decides.
func (s *Store) named(r image.Ref) (nameRecord, error) {
	var n nameRecord
	if err := s.readScan(nameFile(r), &n); err != nil {
		return n, err
	}
	if n.Name != r.String() {
		return n, fs.ErrNotExist
	}
	if !n.ID.Valid() {
		return n, &CorruptError{nameFile(r), &image.DigestError{Text: string(n.ID)}}
	}
	return n, nil
}

// Top returns the digest a name stood for in the registry it was last pulled from; "" when it was not, or is not here.
func (s *Store) Top(r image.Ref) image.Digest {
	n, err := s.named(r)
	if err != nil || !n.Top.Valid() {
		return ""
	}
	return n.Top
}

func (s *Store) writeName(r image.Ref, id, manifest, top image.Digest) error {
	n := nameRecord{V: version, Name: r.String(), ID: id, Manifest: manifest, Top: top, At: time.Now().UTC()}
	return s.writeJSON("names", strings.TrimPrefix(nameFile(r), "names/"), n)
}

// allNames reads every name, sorted; damaged ones are left out and reported in err as *CorruptError.
func (s *Store) allNames() (all []nameRecord, err error) {
	files, err := s.fs.ReadDir("names")
	if err != nil {
		return nil, err
	}
	var bad []error
	for _, f := range files {
		var n nameRecord
		if strings.HasPrefix(f, tempPrefix) {
			continue
		}
		if err := s.readScan("names/"+f, &n); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				bad = append(bad, err)
			}
			continue
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b nameRecord) int { return strings.Compare(a.Name, b.Name) })
	return all, errors.Join(bad...)
}

// addNames puts names onto the images they belong to.
func addNames(all []nameRecord, images map[image.Digest]*Image) {
	for _, n := range all {
		m, r := images[n.ID], image.Ref{}
		if m == nil {
			continue
		}
		r, err := image.ParseRef(n.Name)
		switch {
		case err != nil:
		case r.Tag != "":
			m.Names = append(m.Names, r)
		default:
			m.Digests = append(m.Digests, r)
		}
	}
}
