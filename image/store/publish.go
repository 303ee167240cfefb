package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/moss-sandbox/moss/image"
)

// Publish copies images, under all their names, into a shared store below dir, for others to read: blobs and names, never
// trees (a set-id file in a tree would be set-id of its owner). Readers of dir at work see each image whole or not at all.
// Blobs that are there are not copied again. done is called after each image; it may be nil.
func (s *Store) Publish(ctx context.Context, dir string, images []*Image, done func(*Image)) error {
	to := &Store{fs: disk{root: dir, uid: os.Geteuid()}, root: dir}
	for _, name := range []string{".", "blobs", "blobs/sha256", "names"} {
		if err := publicDir(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
	}
	for _, m := range images {
		if err := s.publish(ctx, to, m); err != nil {
			return fmt.Errorf("publishing %s: %w", m.ID.Short(), err)
		}
		if done != nil {
			done(m)
		}
	}
	return nil
}

// publicDir makes a directory others may read, whatever the umask; one that is there keeps its mode.
func publicDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

func (s *Store) publish(ctx context.Context, to *Store, m *Image) error {
	for _, d := range append([]image.Digest{m.Manifest.Digest, m.ID}, blobsOf(m)...) {
		if err := s.copyBlob(ctx, to, d); err != nil {
			return err
		}
	}
	if err := to.fs.SyncDir(blobDir); err != nil {
		return err
	}
	for _, r := range append(append([]image.Ref{}, m.Names...), m.Digests...) {
		if err := to.writeName(r, m.ID, m.Manifest.Digest, s.Top(r)); err != nil {
			return err
		}
		if err := os.Chmod(to.root+"/"+nameFile(r), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func blobsOf(m *Image) []image.Digest {
	out := make([]image.Digest, len(m.Layers))
	for i, l := range m.Layers {
		out[i] = l.Digest
	}
	return out
}

// copyBlob copies and proves one blob.
func (s *Store) copyBlob(ctx context.Context, to *Store, d image.Digest) error {
	if _, err := to.fs.Stat(blobFile(d)); err == nil {
		return nil
	}
	in, _, err := s.OpenBlob(d)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := tempName(blobDir)
	out, err := to.fs.Create(tmp)
	if err != nil {
		return err
	}
	err = copyProved(ctx, out, in, d)
	err = errors.Join(err, out.Close())
	if err == nil {
		err = os.Chmod(to.root+"/"+tmp, 0o644)
	}
	if err == nil {
		err = to.fs.Rename(tmp, blobFile(d))
	}
	if err != nil {
		to.fs.Remove(tmp)
	}
	return err
}

func copyProved(ctx context.Context, out File, in io.Reader, d image.Digest) error {
	got, err := hashAll(ctx, in, out)
	if err != nil {
		return err
	}
	if got != d {
		return &MismatchError{What: "blob", Want: d, Got: got}
	}
	return out.Sync()
}
