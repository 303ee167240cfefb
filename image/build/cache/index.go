package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moss-sandbox/moss/image"
)

// A Key identifies a step by all that its result depends on.
type Key string

// NewKey makes a key of parts; the same parts in the same order give the same key, other parts another one.
func NewKey(parts ...string) Key {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s\n", len(p), p)
	}
	return Key(hex.EncodeToString(h.Sum(nil)))
}

// An Index is a directory of entries. It is safe for use by several goroutines and processes.
type Index struct{ dir string }

// Open returns the index below dir, which is made with the first entry.
func Open(dir string) *Index { return &Index{dir: dir} }

// record is DIR/steps/KK/KEY.
type record struct {
	V   int          `json:"v"`
	ID  image.Digest `json:"id,omitempty"`
	Sum string       `json:"sum,omitempty"`
}

const version = 1

func (x *Index) file(k Key) string { return filepath.Join(x.dir, "steps", string(k[:2]), string(k)) }

func (x *Index) read(k Key) (record, bool) {
	var r record
	b, err := os.ReadFile(x.file(k))
	if err != nil || json.Unmarshal(b, &r) != nil || r.V != version {
		return record{}, false
	}
	return r, true
}

// Get returns the image a step led to.
func (x *Index) Get(k Key) (image.Digest, bool) {
	r, ok := x.read(k)
	return r.ID, ok && r.ID.Valid()
}

// Put remembers the image a step led to.
func (x *Index) Put(k Key, id image.Digest) error { return x.write(k, record{V: version, ID: id}) }

// Sum returns a digest of copied files that was remembered under a key of where they came from.
func (x *Index) Sum(k Key) (string, bool) {
	r, ok := x.read(k)
	return r.Sum, ok && r.Sum != ""
}

// PutSum remembers a digest of copied files.
func (x *Index) PutSum(k Key, sum string) error { return x.write(k, record{V: version, Sum: sum}) }

// write replaces an entry by rename; it is not synced: an entry that a crash loses or empties is a miss.
func (x *Index) write(k Key, r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file := x.file(k)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(b, '\n'))
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}
