package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
)

// Fetch is one layer to receive.
type Fetch struct {
	Layer  image.Descriptor // its blob
	DiffID image.Digest     // what the configuration says it unpacks to
	MapKey string           // of the id map the worker is under
	Worker Worker
	Limits layer.Limits
	// Open starts the download. It is called at most once, and not at all for a layer that is here or in a shared store.
	// The reader may resume broken connections itself; it is read to its end, or closed early.
	Open     func(ctx context.Context) (io.ReadCloser, error)
	Progress func(Event) // may be nil
}

// Receive brings one layer: downloads, hashes, stores and unpacks it in one pass, and shows blob and tree only when both
// digests are right (else *MismatchError, ErrMismatch); a full disk is a *FullError. Two receivers of one blob, in any processes, share a download. Call
// it for several layers at once; memory is some megabytes each.
func (ss *Session) Receive(ctx context.Context, f Fetch) error {
	return ss.s.full(ss.receive(ctx, f))
}

func (ss *Session) receive(ctx context.Context, f Fetch) error {
	if !validMapKey(f.MapKey) {
		return fmt.Errorf("internal error: map key %q", f.MapKey)
	}
	if err := ss.Add(ctx, f.Layer.Digest, f.DiffID); err != nil {
		return err
	}
	unlock, err := ss.lockDownload(ctx, f)
	if err != nil {
		return err
	}
	defer unlock()
	from, size := ss.s.findBlob(f.Layer.Digest)
	if from == nil || size != f.Layer.Size {
		return ss.download(ctx, f)
	}
	err = ss.ensureTree(ctx, f, from)
	if errors.Is(err, errBadBlob) && f.Open != nil { // what is stored is not what it is called: the download replaces it
		return ss.download(ctx, f)
	}
	return err
}

// errBadBlob says that a stored blob's content is not that of its name; ours is gone then.
var errBadBlob = errors.New("stored blob is damaged")

// lockDownload waits until no other receiver is at this blob.
func (ss *Session) lockDownload(ctx context.Context, f Fetch) (unlock func(), err error) {
	name := "locks/" + f.Layer.Digest.Hex()
	l, err := ss.s.fs.Lock(ctx, name, TryExclusive)
	if errors.Is(err, ErrLocked) {
		f.report(Waiting, 0)
		l, err = ss.s.fs.Lock(ctx, name, Exclusive)
	}
	if err != nil {
		return nil, fmt.Errorf("sharing the download of %s: %w", f.Layer.Digest, err)
	}
	return func() { ss.s.fs.Remove(name); l.Unlock() }, nil
}

func (f *Fetch) report(p Phase, n int64) {
	if f.Progress != nil {
		f.Progress(Event{f.Layer.Digest, p, n, f.Layer.Size})
	}
}

// ensureTree makes the tree of a blob that is stored. That a blob unpacks to a diff id is proved by unpacking, once: a
// configuration could name a public blob beside a foreign layer's diff id.
func (ss *Session) ensureTree(ctx context.Context, f Fetch, from *Store) error {
	if ss.s.about(f.Layer.Digest).Diff == f.DiffID && ss.s.whole(layerDir(f.MapKey, f.DiffID)) {
		f.report(Exists, 0)
		return nil
	}
	blob, err := from.fs.Open(blobFile(f.Layer.Digest))
	if err != nil {
		return fmt.Errorf("opening blob: %w", err)
	}
	defer blob.Close()
	err = ss.unpack(ctx, f, &storedSource{file: blob, want: f.Layer, report: f.report})
	var bad *MismatchError
	if errors.As(err, &bad) && bad.What == "blob" {
		if from != ss.s {
			return fmt.Errorf("%w: %w", errBadBlob, err)
		}
		return errors.Join(fmt.Errorf("%w: %w", errBadBlob, err), ss.s.setAside(blobFile(f.Layer.Digest)))
	}
	return err
}

// download brings the blob and its tree in one pass.
func (ss *Session) download(ctx context.Context, f Fetch) error {
	if f.Open == nil {
		return fmt.Errorf("%w: %s", ErrNoBlob, f.Layer.Digest)
	}
	w, err := ss.NewBlob(ctx)
	if err != nil {
		return err
	}
	defer w.Abort()
	src := newNetSource(w, f)
	if err := ss.unpack(ctx, f, src); err != nil {
		return err
	}
	return nil
}
