package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/userns/sys"
)

const blobDir = "blobs/sha256"

func blobFile(d image.Digest) string { return blobDir + "/" + d.Hex() }

// OpenBlob opens a blob of this store or of a shared one, with its size. The bytes of this store were hashed when they came;
// a shared store's are hashed by who reads them. ErrNoBlob.
func (s *Store) OpenBlob(d image.Digest) (File, int64, error) {
	from, size := s.findBlob(d)
	if from == nil {
		return nil, 0, fmt.Errorf("%w: %s", ErrNoBlob, d)
	}
	f, err := from.fs.Open(blobFile(d))
	return f, size, err
}

// ReadBlob returns a whole blob of at most limit bytes, verified: manifests and configurations.
func (s *Store) ReadBlob(d image.Digest, limit int64) ([]byte, error) {
	f, size, err := s.OpenBlob(d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, fmt.Errorf("blob %s has %d bytes, more than %d", d, size, limit)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("reading blob %s: %w", d, err)
	}
	if got := image.SumBytes(b); got != d {
		return nil, &MismatchError{What: "blob", Want: d, Got: got}
	}
	return b, nil
}

// HasBlob tells whether a blob is here or in a shared store, and its size.
func (s *Store) HasBlob(d image.Digest) (int64, bool) {
	from, size := s.findBlob(d)
	return size, from != nil
}

// findBlob returns the store that has a blob, this one first.
func (s *Store) findBlob(d image.Digest) (*Store, int64) {
	if !d.Valid() {
		return nil, 0
	}
	for _, from := range append([]*Store{s}, s.shared...) {
		if info, err := from.fs.Stat(blobFile(d)); err == nil && info.Mode().IsRegular() {
			return from, info.Size()
		}
	}
	return nil, 0
}

// BlobWriter takes a blob's bytes, hashing them as they come. Commit makes the blob visible, Abort forgets it; call both,
// `defer w.Abort()` does nothing after a Commit. It is for one goroutine.
type BlobWriter struct {
	ss   *Session
	tmp  string
	f    File
	lock Lock
	hash hash.Hash
	n    int64
	sync int64 // up to where writing out has begun
	done bool
}

// NewBlob begins a blob.
func (ss *Session) NewBlob(ctx context.Context) (*BlobWriter, error) {
	release, err := ss.s.Hold(ctx) // an unlocked unfinished file would be swept
	if err != nil {
		return nil, err
	}
	defer release()
	w := &BlobWriter{ss: ss, tmp: tempName(blobDir), hash: sha256.New()}
	if w.f, err = ss.s.fs.Create(w.tmp); err != nil {
		return nil, fmt.Errorf("creating blob: %w", err)
	}
	if w.lock, err = ss.s.fs.Lock(ctx, w.tmp, Exclusive); err != nil {
		return nil, errors.Join(err, w.f.Close(), ss.s.fs.Remove(w.tmp))
	}
	return w, nil
}

// writebackStep is after how many bytes the kernel is asked to begin writing out, so that the sync at the end is short.
const writebackStep = 8 << 20

// Write adds bytes.
func (w *BlobWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	w.hash.Write(p[:n])
	w.n += int64(n)
	if err != nil {
		return n, fmt.Errorf("writing blob: %w", err)
	}
	if f, ok := w.f.(*os.File); ok && w.n-w.sync >= writebackStep {
		_ = sys.StartWriteback(int(f.Fd()), w.sync, w.n-w.sync) // advice only
		w.sync = w.n
	}
	return n, nil
}

// Size returns how many bytes have come.
func (w *BlobWriter) Size() int64 { return w.n }

// Digest returns the digest of what has come so far.
func (w *BlobWriter) Digest() image.Digest { return image.DigestOf(w.hash.Sum(nil)) }

// Commit makes the blob durable and visible and returns its digest and size. With a want that is not empty other content
// is a *MismatchError and forgotten.
func (w *BlobWriter) Commit(want image.Digest) (image.Descriptor, error) {
	got := w.Digest()
	if want != "" && got != want {
		return image.Descriptor{}, errors.Join(&MismatchError{What: "blob", Want: want, Got: got}, w.Abort())
	}
	if err := w.f.Sync(); err != nil {
		return image.Descriptor{}, errors.Join(fmt.Errorf("syncing blob: %w", err), w.Abort())
	}
	return image.Descriptor{Digest: got, Size: w.n}, w.publish(got)
}

// publish renames a synced blob into its place. The directory is synced when an image is put.
func (w *BlobWriter) publish(d image.Digest) error {
	if err := w.ss.Add(context.Background(), d); err != nil {
		return errors.Join(err, w.Abort())
	}
	if info, err := w.ss.s.fs.Stat(blobFile(d)); err == nil && info.Size() == w.n {
		return w.Abort()
	}
	if err := w.ss.s.fs.Rename(w.tmp, blobFile(d)); err != nil {
		return errors.Join(fmt.Errorf("storing blob %s: %w", d, err), w.Abort())
	}
	w.done = true
	w.ss.note(d, nil)
	w.ss.mu.Lock()
	w.ss.dirty = true
	w.ss.mu.Unlock()
	err := w.f.Close()
	w.lock.Unlock()
	return err
}

// Abort forgets the blob. Errors are of no use to anybody and nil; it has one for use in errors.Join.
func (w *BlobWriter) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	w.f.Close()
	w.ss.s.fs.Remove(w.tmp)
	w.lock.Unlock()
	return nil
}

// PutBlob stores small content: a manifest, a configuration.
func (ss *Session) PutBlob(ctx context.Context, b []byte) (image.Descriptor, error) {
	w, err := ss.NewBlob(ctx)
	if err != nil {
		return image.Descriptor{}, err
	}
	defer w.Abort()
	if _, err := w.Write(b); err != nil {
		return image.Descriptor{}, err
	}
	return w.Commit("")
}
