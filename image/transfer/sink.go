package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/userns/sys"
)

// Sink puts pulled images into a store: layers are hashed, stored and unpacked as they arrive. The store hashes, so pull
// with registry.PullOptions.SinkHashes. One Sink serves one pull; its session is the caller's to end.
type Sink struct {
	Session *store.Session
	Worker  store.Worker
	MapKey  string // of the id map the worker is under
	Limits  layer.Limits

	mu     sync.Mutex
	source map[image.Digest]string // repository of each layer's blob
}

var _ registry.Sink = (*Sink)(nil)

// Known returns the digest the registry last gave for a name, if the store has that image for this platform, whole and
// unpacked; "" otherwise. It is registry.PullOptions.Known.
func Known(s *store.Store, r image.Ref, p image.Platform, mapKey string) image.Digest {
	m, err := s.Lookup(r.String())
	if err != nil || !p.Runs(m.Config.Platform()) {
		return ""
	}
	if _, err := s.Lowers(m, mapKey); err != nil {
		return ""
	}
	for _, l := range m.Layers {
		if _, ok := s.HasBlob(l.Digest); !ok { // set aside by a check: this pull brings it back
			return ""
		}
	}
	return s.Top(r)
}

// Begin implements registry.Sink: it names what the pull needs and refuses one the disk has no room for.
func (k *Sink) Begin(ctx context.Context, im *registry.Image) error {
	k.mu.Lock()
	if k.source == nil {
		k.source = map[image.Digest]string{}
	}
	need := int64(0)
	names := []image.Digest{im.ID(), image.SumBytes(im.Manifest.Bytes)}
	for _, l := range im.Layers {
		k.source[l.Digest] = im.Source
		names = append(names, l.Digest, l.DiffID)
		if _, ok := k.Session.Store().HasBlob(l.Digest); !ok {
			need += l.Size
		}
	}
	k.mu.Unlock()
	if err := k.Session.Add(ctx, names...); err != nil {
		return err
	}
	return room(k.Session.Store(), need)
}

// SpaceError says that a file system has no room for an image. It is ENOSPC.
type SpaceError struct {
	Dir        string
	Need, Free int64 // bytes
	Remedies   []string
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("no room for the image in %q: it needs about %d MB, %d MB are free", e.Dir, e.Need>>20, e.Free>>20)
}

// Hints names the remedies.
func (e *SpaceError) Hints() []string { return e.Remedies }

// Is makes it ENOSPC.
func (e *SpaceError) Is(target error) bool { return target == syscall.ENOSPC }

// unpackedPerPacked is the least that layers of distributions grow by; the blob stays beside its tree. What turns out larger
// meets the full disk itself (store.FullError): refusing a pull that fits would be worse.
const unpackedPerPacked = 2

func room(st *store.Store, packed int64) error {
	if packed == 0 {
		return nil
	}
	_, free, _, err := sys.Statfs(st.Root())
	need := packed * (1 + unpackedPerPacked)
	if err == nil && uint64(need) > free {
		return &SpaceError{st.Root(), need, int64(free), st.SpaceHints()}
	}
	return nil
}

// Have implements registry.Sink.
func (k *Sink) Have(_ context.Context, l image.Layer) (bool, error) {
	return k.Session.Store().HasLayer(l, k.MapKey), nil
}

// Receive implements registry.Sink.
func (k *Sink) Receive(ctx context.Context, l image.Layer, r io.Reader, extracting func(current, total int64)) error {
	return k.Session.Receive(ctx, store.Fetch{
		Layer:  image.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size},
		DiffID: l.DiffID, MapKey: k.MapKey, Worker: k.Worker, Limits: k.Limits,
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(r), nil },
		Progress: func(e store.Event) {
			if e.Phase == store.Extracting && extracting != nil {
				extracting(e.Current, e.Total)
			}
		},
	})
}

// Put implements registry.Sink: the image is shown under the name it was asked for by and under its digest.
func (k *Sink) Put(ctx context.Context, im *registry.Image) (changed bool, err error) {
	names := []image.Ref{im.Ref.WithDigest(im.Top.Digest)}
	if im.Ref.Tag != "" && im.Ref.Digest == "" {
		names = append(names, im.Ref.WithTag(im.Ref.Tag))
	}
	s := k.Session.Store()
	changed = slices.ContainsFunc(names, func(r image.Ref) bool {
		m, err := s.Lookup(r.String())
		return err != nil || m.ID != im.ID()
	})
	_, err = k.Session.PutImage(ctx, store.NewImage{
		Manifest: im.Manifest.Bytes, MediaType: im.Manifest.Descriptor.MediaType, Config: im.Config, Names: names, Top: im.Top.Digest})
	if err != nil {
		return false, err
	}
	var bad []error
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range im.Layers {
		if r, err := image.ParseRepository(k.source[l.Digest]); err == nil {
			bad = append(bad, s.AddOrigin(l.Digest, r))
		}
	}
	return changed, errors.Join(bad...)
}

// FromShared puts an image of a shared store into the own one: its layers are unpacked from there, not copied. The result
// tells where it came from, for the line that says so. store.ErrNotFound when no shared store has it.
func (k *Sink) FromShared(ctx context.Context, r image.Ref) (*store.Image, string, error) {
	m, err := k.Session.Store().LookupShared(r)
	if err != nil {
		return nil, "", err
	}
	err = k.Session.Unpack(ctx, m.Layers, store.Fetch{MapKey: k.MapKey, Worker: k.Worker, Limits: k.Limits})
	if err != nil {
		return nil, "", err
	}
	im, err := k.Session.PutImage(ctx, m.NewImage)
	return im, m.Store, err
}
