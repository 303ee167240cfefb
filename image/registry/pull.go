package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moss-sandbox/moss/image"
)

// PullOptions are the flags of pull.
type PullOptions struct {
	Platform *image.Platform // nil: this machine's
	AllTags  bool            // every tag of the repository; the tag of the reference does not count
	// Known is the digest the store has, complete, under this name and platform ("" for none): if the registry still says the same,
	// nothing is fetched, which Docker Hub does not count as a pull.
	Known image.Digest
	// SinkHashes says that the sink compares the digest of the compressed bytes itself, as it must to name them. They are then not
	// hashed a second time on the way; size is checked always.
	SinkHashes bool
}

// Pulled is what became of one name.
type Pulled struct {
	Ref    image.Ref
	Digest image.Digest // of what the tag points to
	ID     image.Digest // of the config; "" if nothing had to be fetched
	Newer  bool         // the store has changed
	Quota  Quota        // what the registry says is left
}

// Status is the last line of Docker's pull.
func (p Pulled) Status() string { return status(p.Ref.Familiar(), p.Newer) }

// StatusAll is the last line of pull -a.
func StatusAll(repository image.Ref, all []Pulled) string {
	newer := false
	for _, p := range all {
		newer = newer || p.Newer
	}
	return status(repository.FamiliarName(), newer)
}

func status(name string, newer bool) string {
	if newer {
		return "Downloaded newer image for " + name
	}
	return "Image is up to date for " + name
}

// sinkError marks what the sink said, which no other endpoint can help.
type sinkError struct{ error }

func (e sinkError) Unwrap() error { return e.error }

func isSinks(err error) bool {
	var s sinkError
	return errors.As(err, &s)
}

func fromSink(err error) error {
	if err == nil {
		return nil
	}
	return sinkError{err}
}

// Pull brings an image, or all images of a repository, into the sink. Layers arrive several at a time; the sink sees an image only
// when all of it is there. With AllTags, tags that are no images for this platform are skipped and told to progress.
func (c *Client) Pull(ctx context.Context, ref image.Ref, opts PullOptions, sink Sink, progress Progress) ([]Pulled, error) {
	if !opts.AllTags {
		p, err := c.pullOne(ctx, ref, opts, sink, progress)
		if err != nil {
			return nil, bare(err)
		}
		return []Pulled{p}, nil
	}
	tags, err := c.Tags(ctx, ref)
	if err != nil {
		return nil, err
	}
	all, err := c.pullTags(ctx, ref, tags, opts, sink, progress)
	return all, bare(err)
}

// bare takes our mark off a sink's error.
func bare(err error) error {
	var s sinkError
	if errors.As(err, &s) {
		return s.error
	}
	return err
}

func (c *Client) pullTags(ctx context.Context, ref image.Ref, tags []string, opts PullOptions, sink Sink, progress Progress) ([]Pulled, error) {
	var all []Pulled
	var skipped error
	opts.Known = ""
	for _, tag := range tags {
		p, err := c.pullOne(ctx, ref.WithTag(tag), opts, sink, progress)
		switch {
		case err == nil:
			all = append(all, p)
			progress.Event(Event{Phase: PhaseDigest, Detail: string(p.Digest)})
		case skippable(err):
			skipped = err
			progress.Event(Event{ID: tag, Phase: PhaseSkipped, Detail: err.Error()})
		default:
			return all, err
		}
	}
	if len(all) == 0 && skipped != nil {
		return nil, skipped
	}
	return all, nil
}

func skippable(err error) bool {
	var platform *image.PlatformError
	return errors.Is(err, ErrNotImage) || errors.Is(err, image.ErrSchema1) || errors.As(err, &platform)
}

func (c *Client) pullOne(ctx context.Context, ref image.Ref, opts PullOptions, sink Sink, progress Progress) (Pulled, error) {
	var pulled Pulled
	err := c.eachEndpoint(ctx, ref, func(s *session) (err error) {
		pulled, err = s.pull(ctx, ref, opts, sink, progress)
		return err
	})
	return pulled, err
}

func (s *session) pull(ctx context.Context, ref image.Ref, opts PullOptions, sink Sink, progress Progress) (Pulled, error) {
	progress.Event(Event{ID: shortTag(ref), Phase: PhasePullingFrom, Detail: ref.Path})
	if opts.Known != "" && s.head(ctx, ref) == opts.Known {
		return Pulled{Ref: ref, Digest: opts.Known, Quota: s.guard.Quota()}, nil
	}
	im, err := s.resolve(ctx, ref, opts.Platform)
	if err != nil {
		return Pulled{}, err
	}
	if err := fromSink(sink.Begin(ctx, im)); err != nil {
		return Pulled{}, err
	}
	if err := s.pullLayers(ctx, im, opts, sink, progress); err != nil {
		return Pulled{}, err
	}
	changed, err := sink.Put(ctx, im)
	return Pulled{Ref: ref, Digest: im.Top.Digest, ID: im.ID(), Newer: changed, Quota: s.guard.Quota()}, fromSink(err)
}

// shortTag is what Docker puts before "Pulling from".
func shortTag(ref image.Ref) string {
	if ref.Digest != "" {
		return string(ref.Digest)
	}
	return ref.Tag
}

// layerPull is one layer on its way.
type layerPull struct {
	layer    image.Layer
	blob     image.Descriptor
	id       string // of its events
	unhashed bool   // by us
}

// pullLayers brings all missing layers, Jobs at a time, bottom first; the first error stops the others.
func (s *session) pullLayers(ctx context.Context, im *Image, opts PullOptions, sink Sink, progress Progress) error {
	missing, err := s.missing(ctx, im, sink, progress)
	if err != nil {
		return err
	}
	return parallel(ctx, s.client.config.Jobs, missing, func(ctx context.Context, l layerPull) error {
		l.unhashed = opts.SinkHashes
		return s.pullLayer(ctx, l, sink, progress)
	})
}

// missing asks the sink about every layer, tells the progress, and names each missing blob once: an image may have the same layer
// several times, but under different layers below, which is the sink's affair.
func (s *session) missing(ctx context.Context, im *Image, sink Sink, progress Progress) ([]layerPull, error) {
	manifest, err := image.ParseManifest(im.Manifest.Bytes, im.Manifest.Descriptor.MediaType)
	if err != nil {
		return nil, err
	}
	var list []layerPull
	for i, layer := range im.Layers {
		l := layerPull{layer: layer, blob: manifest.Layers[i], id: layer.Digest.Short()}
		have, err := sink.Have(ctx, layer)
		if err != nil {
			return nil, fromSink(err)
		}
		if have {
			progress.Event(Event{ID: l.id, Phase: PhaseExists})
			continue
		}
		progress.Event(Event{ID: l.id, Phase: PhasePulling})
		list = append(list, l)
	}
	for _, l := range list[min(len(list), s.client.config.Jobs):] {
		progress.Event(Event{ID: l.id, Phase: PhaseWaiting})
	}
	return list, nil
}

// pullLayer brings one layer. Bytes that turn out wrong at the end are asked for once more, from the start: some proxy may have
// mangled them.
func (s *session) pullLayer(ctx context.Context, l layerPull, sink Sink, progress Progress) error {
	err := s.tryLayer(ctx, l, sink, progress)
	if errors.Is(err, ErrDigest) {
		progress.Event(Event{ID: l.id, Phase: PhaseRetrying, Detail: "wrong checksum"})
		err = s.tryLayer(ctx, l, sink, progress)
	}
	if err == nil {
		progress.Event(Event{ID: l.id, Phase: PhasePulled})
	}
	return err
}

func (s *session) tryLayer(ctx context.Context, l layerPull, sink Sink, progress Progress) error {
	d := s.download(ctx, l.blob)
	defer d.Close() //nolint:errcheck // never fails
	if l.unhashed {
		d.sum = nil
	}
	down := &meter{progress: progress, id: l.id, phase: PhaseDownloading, total: l.blob.Size}
	d.onBytes = down.at
	d.onRetry = func(err error) {
		progress.Event(Event{ID: l.id, Phase: PhaseRetrying, Detail: foreign(err.Error())})
	}
	extracting := func(current, total int64) {
		progress.Event(Event{ID: l.id, Phase: PhaseExtracting, Current: current, Total: total})
	}
	err := sink.Receive(ctx, l.layer, &layerReader{Reader: d, id: l.id, progress: progress}, extracting)
	switch {
	case d.err != nil && d.err != io.EOF:
		return d.err // ours tells more than the sink's, which only saw the reader fail
	case err != nil:
		return fromSink(err)
	case d.done > 0 && d.err != io.EOF:
		return fmt.Errorf("internal error: layer %s was taken without reading it to the end", l.id)
	}
	return nil
}

// layerReader tells when the last byte is there and when it has been found right.
type layerReader struct {
	io.Reader
	id       string
	progress Progress
	told     bool
}

func (r *layerReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && !r.told {
		r.told = true
		r.progress.Event(Event{ID: r.id, Phase: PhaseVerifying})
		r.progress.Event(Event{ID: r.id, Phase: PhaseDownloaded})
	}
	return n, err
}
