package registry

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moss-sandbox/moss/image"
)

// Source is where a push gets bytes from, and what it knows about them. Methods run concurrently.
type Source interface {
	// Open gives a blob as it is stored: compressed as it was when it was pulled or built. The caller closes it.
	Open(context.Context, image.Digest) (io.ReadCloser, error)
	// Origins names repositories known to have a blob (docker.io/library/ubuntu), best first.
	Origins(image.Digest) []string
	// Landed is told that a repository has a blob now, to be remembered for later pushes.
	Landed(repository string, blob image.Digest)
}

// Upload is one image and the tag it gets. The manifest goes out as it is: its digest does not change.
type Upload struct {
	Tag       string
	Manifest  []byte
	MediaType string
	Config    []byte
	Layers    []image.Layer // bottom first
}

// PushedTag is the last line of a push: "TAG: digest: DIGEST size: SIZE".
type PushedTag struct {
	Tag    string
	Digest image.Digest
	Size   int // bytes of the manifest
}

// maxOrigins bounds how many foreign repositories a token is asked for.
const maxOrigins = 10

// Push uploads images into a repository, layers several at a time: what is there is left alone, what another repository of the same
// registry has is mounted from it, the rest is sent as stored. A tag is set when all below it is there. What was pushed before an
// error is returned with it.
func (c *Client) Push(ctx context.Context, repository image.Ref, images []Upload, source Source, progress Progress) ([]PushedTag, error) {
	e, err := c.upstream(ctx, repository.Domain)
	if err != nil {
		return nil, err
	}
	e.uploads = true
	var s *session
	err = c.retry(ctx, func() (err error) {
		s, err = c.open(ctx, e, repository.Path, nil, pushScopes(repository, images, source)...)
		return err
	})
	if err != nil {
		return nil, pushError(e, repository, err)
	}
	p := &push{session: s, target: repository, source: source, progress: progress}
	var done []PushedTag
	for _, im := range images {
		tag, err := p.image(ctx, im)
		if err != nil {
			return done, bare(pushError(s.end, repository, err))
		}
		done = append(done, tag)
	}
	return done, nil
}

// pushScopes asks for the right to push, first since some registries look no further, and to read where we may mount from.
func pushScopes(repository image.Ref, images []Upload, source Source) []string {
	scopes := []string{"repository:" + repository.Path + ":pull,push"}
	for _, im := range images {
		for _, l := range im.Layers {
			origin := originFor(repository, l.Digest, source)
			scope := "repository:" + origin + ":pull"
			if origin != "" && !slices.Contains(scopes, scope) && len(scopes) <= maxOrigins {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes
}

// originFor is the path of the best other repository of the same registry that has the blob; "" for none.
func originFor(target image.Ref, blob image.Digest, source Source) string {
	for _, name := range source.Origins(blob) {
		domain, path, ok := strings.Cut(name, "/")
		if ok && domain == target.Domain && path != target.Path {
			return path
		}
	}
	return ""
}

// push is one run of Push.
type push struct {
	*session
	target   image.Ref
	source   Source
	progress Progress
}

func (p *push) image(ctx context.Context, im Upload) (PushedTag, error) {
	if err := p.layers(ctx, im.Layers); err != nil {
		return PushedTag{}, err
	}
	config := &pushBlob{digest: image.SumBytes(im.Config), size: int64(len(im.Config)), mediaType: image.TypeDockerConfig, open: openBytes(im.Config)}
	if err := remote.WriteLayer(p.repo, config, p.options(ctx)...); err != nil {
		return PushedTag{}, err
	}
	ref := p.reference(p.target.WithTag(im.Tag))
	if err := remote.Put(ref, pushManifest{im.Manifest, im.MediaType}, p.options(ctx)...); err != nil {
		return PushedTag{}, err
	}
	tag := PushedTag{Tag: im.Tag, Digest: image.SumBytes(im.Manifest), Size: len(im.Manifest)}
	p.progress.Event(Event{ID: im.Tag, Phase: PhasePushedTag, Detail: string(tag.Digest), Total: int64(tag.Size)})
	return tag, nil
}

// layers pushes all layers, the top one first.
func (p *push) layers(ctx context.Context, layers []image.Layer) error {
	order := slices.Clone(layers)
	slices.Reverse(order)
	for _, l := range order {
		p.progress.Event(Event{ID: l.DiffID.Short(), Phase: PhasePreparing})
	}
	for _, l := range order[min(len(order), p.client.config.Jobs):] {
		p.progress.Event(Event{ID: l.DiffID.Short(), Phase: PhaseWaiting})
	}
	return parallel(ctx, p.client.config.Jobs, order, p.layer)
}

// layer brings one layer to the registry and says how.
func (p *push) layer(ctx context.Context, l image.Layer) error {
	id := l.DiffID.Short()
	if (image.Descriptor{MediaType: l.MediaType}).Foreign() {
		p.progress.Event(Event{ID: id, Phase: PhaseSkippedLayer})
		return nil
	}
	origin := originFor(p.target, l.Digest, p.source)
	if origin != "" {
		// Only here "is there" and "was mounted" could not be told apart afterwards.
		if there, err := p.has(ctx, l.Digest); err != nil || there {
			return p.landed(id, l, PhaseAlreadyThere, "", err)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	blob := p.blob(ctx, l, cancel)
	var err error
	if origin == "" {
		err = remote.WriteLayer(p.repo, blob, p.options(ctx)...)
	} else {
		err = remote.WriteLayer(p.repo, &remote.MountableLayer{Layer: blob, Reference: p.repo.Registry.Repo(origin).Tag(image.DefaultTag)}, p.options(ctx)...)
	}
	if err != nil && errors.Is(context.Cause(ctx), ErrStalled) {
		err = context.Cause(ctx)
	}
	switch {
	case blob.sent.Load():
		return p.landed(id, l, PhasePushed, "", err)
	case origin != "":
		return p.landed(id, l, PhaseMounted, origin, err)
	}
	return p.landed(id, l, PhaseAlreadyThere, "", err)
}

func (p *push) landed(id string, l image.Layer, how Phase, detail string, err error) error {
	if err == nil {
		p.progress.Event(Event{ID: id, Phase: how, Detail: detail})
		p.source.Landed(p.target.Name(), l.Digest)
	}
	return err
}

// blob wraps a layer for sending, with progress and a watch on the receiver.
func (p *push) blob(ctx context.Context, l image.Layer, cancel context.CancelCauseFunc) *pushBlob {
	up := &meter{progress: p.progress, id: l.DiffID.Short(), phase: PhasePushing, total: l.Size}
	return &pushBlob{
		digest: l.Digest, diffID: l.DiffID, size: l.Size, mediaType: types.MediaType(l.MediaType),
		open: func() (io.ReadCloser, error) {
			r, err := p.source.Open(ctx, l.Digest)
			if err != nil {
				return nil, fromSink(err)
			}
			stalled := fail(ErrStalled, "registry %s has stopped taking layer %s", p.end.host, l.DiffID.Short())
			return watchUpload(r, up.at, p.client.config.Patience.Stall, func() { cancel(stalled) }), nil
		},
	}
}
