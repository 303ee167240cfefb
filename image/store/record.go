package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/moss-sandbox/moss/image"
)

// version is that of every file the store writes.
const version = 1

// Image is an image of the store. It is a value: it does not follow later changes.
type Image struct {
	ID       image.Digest     // of the configuration
	Name     image.Ref        // under which Lookup found it; zero when by id
	Names    []image.Ref      // tags; filled by List and Inspect only
	Digests  []image.Ref      // repository@digest; filled by List and Inspect only
	Manifest image.Descriptor // the manifest it was pulled or made with
	Others   []image.Descriptor
	Config   *image.Config // without History, but from Inspect: decoding it costs run more than all else
	Layers   []image.Layer // bottom first
	Size     int64         // bytes of all layers' files, unpacked
	Created  time.Time
	Tagged   time.Time    // when the record was written
	Parent   image.Digest // the image it was made of here; "" for what was pulled or loaded, or when that is not known
}

// record is images/HEX.json.
type record struct {
	V         int                `json:"v"`
	ID        image.Digest       `json:"id"`
	Manifests []image.Descriptor `json:"manifests"`
	Layers    []image.Layer      `json:"layers"`
	Size      int64              `json:"size"`
	Stored    time.Time          `json:"stored"`
	Parent    image.Digest       `json:"parent,omitempty"`
	Config    *image.Config      `json:"config"`
}

func recordFile(id image.Digest) string { return "images/" + id.Hex() + ".json" }

// Load reads the image with an id; ErrNotFound, or ErrCorrupt.
func (s *Store) load(id image.Digest) (*Image, error) {
	if !id.Valid() {
		return nil, &image.DigestError{Text: string(id)}
	}
	var r record
	if err := s.readScan(recordFile(id), &r); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &NotFoundError{string(id)}
		}
		return nil, err
	}
	if r.ID != id || r.Config == nil || len(r.Manifests) == 0 {
		return nil, &CorruptError{recordFile(id), errors.New("it describes another image, or none")}
	}
	return r.image()
}

func (r *record) image() (*Image, error) {
	for _, l := range r.Layers {
		if !l.DiffID.Valid() || !l.Digest.Valid() {
			return nil, &CorruptError{recordFile(r.ID), errors.New("a layer without digest")}
		}
	}
	m := &Image{ID: r.ID, Manifest: r.Manifests[0], Others: r.Manifests[1:], Config: r.Config, Layers: r.Layers, Size: r.Size, Tagged: r.Stored, Parent: r.Parent}
	if r.Config.Created != nil {
		m.Created = *r.Config.Created
	}
	return m, nil
}

// readJSON reads one versioned file; a *CorruptError when it is not whole JSON of a known version with its end mark.
func (s *Store) readJSON(name string, v any) error {
	b, err := s.fs.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading %q: %w", name, err)
	}
	if err := decode(b, v); err != nil {
		return &CorruptError{name, err}
	}
	return nil
}

// readScan is readJSON for what the hot path reads.
func (s *Store) readScan(name string, v scannable) error {
	bad := false
	err := s.withFile(name, func(b []byte) error {
		err := scanFile(b, v)
		bad = err != nil
		return err
	})
	if bad {
		return &CorruptError{name, err}
	}
	if err != nil {
		return fmt.Errorf("reading %q: %w", name, err)
	}
	return nil
}

// withFile lets use see a file's bytes, which it must not keep. The bytes of one file after the other lie in the same memory:
// a fresh page for each cost run more than reading and scanning it.
func (s *Store) withFile(name string, use func([]byte) error) error {
	d, ok := s.fs.(disk)
	if !ok || !s.mu.TryLock() { // somebody else's goroutine reads
		b, err := s.fs.ReadFile(name)
		if err != nil {
			return err
		}
		return use(b)
	}
	defer s.mu.Unlock()
	if s.scratch == nil {
		s.scratch = make([]byte, 0, 4<<10)
	}
	b, err := readFile(d.path(name), s.scratch)
	if err != nil {
		return err
	}
	if cap(b) <= 64<<10 {
		s.scratch = b[:0]
	}
	return use(b)
}

var (
	versionMark   = []byte(`{"v":1,`) // version
	errTruncated  = errors.New("it is truncated")
	errNewVersion = errors.New("it has a version this moss does not know")
)

func decode(b []byte, v any) error {
	if len(b) == 0 || b[len(b)-1] != '\n' {
		return errTruncated
	}
	if !bytes.HasPrefix(b, versionMark) {
		return errNewVersion
	}
	return json.Unmarshal(b, v)
}

func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(b, '\n'), err
}

// writeJSON replaces a precious file: written under another name, synced, renamed; the directory is synced by the caller,
// or here with syncDir. A failed sync drops the file and is never repeated (reliability.md 5.4).
func (s *Store) writeJSON(dir, base string, v any) error {
	b, err := encode(v)
	if err != nil {
		return err
	}
	name := dir + "/" + base
	if err := s.writeFile(dir, name, b); err != nil {
		return fmt.Errorf("writing %q: %w", name, err)
	}
	return s.fs.SyncDir(dir)
}

func (s *Store) writeFile(dir, name string, b []byte) error {
	tmp := tempName(dir)
	f, err := s.fs.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = s.fs.Rename(tmp, name)
	}
	if err != nil {
		s.fs.Remove(tmp)
	}
	return err
}

// tempPrefix begins the names of files and directories that are not finished; readers pass them over.
const tempPrefix = ".new-"

func tempName(dir string) string { return dir + "/" + tempPrefix + randomID() }

// randomID makes names that do not meet; nobody else may look into the root, so they need not be secret.
func randomID() string { return fmt.Sprintf("%016x", rand.Uint64()) }
