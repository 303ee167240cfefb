package registry

import (
	"context"
	"errors"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/moss-sandbox/moss/image"
)

// session is an authenticated conversation with one endpoint about one repository. All requests share one token, which
// go-containerregistry renews when it expires.
type session struct {
	client *Client
	end    endpoint
	repo   name.Repository
	guard  *guard
	auth   http.RoundTripper // *transport.Wrapper: adds the credentials
}

// open shakes hands: finds the scheme, the kind of authentication and, for a bearer registry, a token for scopes. path is the
// repository, "" for the registry as a whole. auth nil means what config.json has.
func (c *Client) open(ctx context.Context, e endpoint, path string, auth authn.Authenticator, scopes ...string) (*session, error) {
	if auth == nil {
		auth, e.trouble = c.authenticator(ctx, e)
	}
	var first error
	for _, scheme := range e.schemes {
		s, err := c.openWith(ctx, e, scheme, path, auth, scopes)
		if err == nil {
			return s, nil
		}
		if first == nil {
			first = err
		}
		if !worthOtherScheme(err) {
			return nil, err
		}
		first = preferred(first, err)
	}
	return nil, first
}

func (c *Client) openWith(ctx context.Context, e endpoint, scheme, path string, auth authn.Authenticator, scopes []string) (*session, error) {
	w, err := c.wire(e, scheme)
	if err != nil {
		return nil, err
	}
	var opts []name.Option
	if scheme == "http" {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(e.host, opts...)
	if err != nil {
		return nil, fail(ErrUnreachable, "registry %q", foreign(e.host)).because(err)
	}
	s := &session{client: c, end: e, guard: &guard{wire: w, userAgent: c.config.UserAgent}}
	if path != "" {
		s.repo = reg.Repo(path)
	} else {
		s.repo = name.Repository{Registry: reg}
	}
	s.auth, err = transport.NewWithContext(ctx, reg, auth, s.guard, scopes)
	if errors.Is(err, errWrongScheme) && s.guard.lastErr != nil {
		err = s.guard.lastErr // of the scheme that was meant; the other half of the race says nothing
	}
	return s, err
}

// worthOtherScheme tells whether plain HTTP may help where HTTPS failed: only if no HTTP was spoken at all.
func worthOtherScheme(err error) bool {
	var answer *transport.Error
	var ours *Error
	return !errors.As(err, &answer) && !errors.As(err, &ours) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// preferred picks the error that tells more: of HTTPS, unless HTTP got an answer.
func preferred(https, http error) error {
	var answer *transport.Error
	if errors.As(http, &answer) {
		return http
	}
	return https
}

// options makes go-containerregistry use this session: a *transport.Wrapper is taken as it is, without another handshake and
// without retries beneath us.
func (s *session) options(ctx context.Context) []remote.Option {
	p := s.client.config.Patience
	return []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(s.auth), remote.WithJobs(s.client.config.Jobs),
		remote.WithRetryBackoff(remote.Backoff{Duration: p.Backoff, Factor: 2, Jitter: 0.1, Steps: p.Retries, Cap: p.MaxBackoff}),
	}
}

// http is the client for requests of our own. Redirects are counted and judged by the guard.
func (s *session) http() *http.Client {
	return &http.Client{Transport: s.auth, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
}

// reference is ref's digest, else its tag, in this session's repository.
func (s *session) reference(ref image.Ref) name.Reference {
	if ref.Digest != "" {
		return s.repo.Digest(string(ref.Digest))
	}
	return s.repo.Tag(ref.Tag)
}

// manifest fetches a manifest or index. By digest, what comes hashes to it; by tag, Descriptor.Digest is the hash of what came.
func (s *session) manifest(ctx context.Context, ref image.Ref) (Manifest, error) {
	var d *remote.Descriptor
	err := s.client.retry(ctx, func() (err error) {
		d, err = remote.Get(s.reference(ref), s.options(withBodyLimit(ctx, image.MaxManifestBytes))...)
		return err
	})
	if err != nil {
		return Manifest{}, manifestError(s.end, ref, err)
	}
	isIndex, err := image.Kind(d.Manifest, string(d.MediaType))
	if err != nil {
		return Manifest{}, badManifest(ref, err)
	}
	return Manifest{Descriptor: ownDescriptor(d.Descriptor), Bytes: d.Manifest, Index: isIndex}, nil
}

// head asks for the digest behind a tag, which costs no pull at Docker Hub. "" if the registry does not say.
func (s *session) head(ctx context.Context, ref image.Ref) image.Digest {
	d, err := remote.Head(s.reference(ref), s.options(ctx)...)
	if err != nil || !image.Digest(d.Digest.String()).Valid() {
		return ""
	}
	return image.Digest(d.Digest.String())
}

func ownDescriptor(d v1.Descriptor) image.Descriptor {
	return image.Descriptor{MediaType: string(d.MediaType), Digest: image.Digest(d.Digest.String()), Size: d.Size, Annotations: d.Annotations}
}
