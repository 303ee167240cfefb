package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moss-sandbox/moss/image"
)

// pushBlob is a blob as go-containerregistry's uploader wants it.
type pushBlob struct {
	digest, diffID image.Digest
	size           int64
	mediaType      types.MediaType
	open           func() (io.ReadCloser, error)
	sent           atomic.Bool // the uploader has asked for the bytes
}

var _ v1.Layer = (*pushBlob)(nil)

// Digest implements v1.Layer.
func (b *pushBlob) Digest() (v1.Hash, error) { return v1.NewHash(string(b.digest)) }

// DiffID implements v1.Layer.
func (b *pushBlob) DiffID() (v1.Hash, error) { return v1.NewHash(string(b.diffID)) }

// Compressed implements v1.Layer; it may be called again for a retry.
func (b *pushBlob) Compressed() (io.ReadCloser, error) {
	b.sent.Store(true)
	return b.open()
}

// Uncompressed implements v1.Layer; nobody asks.
func (b *pushBlob) Uncompressed() (io.ReadCloser, error) {
	return nil, errors.New("internal error: a blob is pushed as it is stored")
}

// Size implements v1.Layer.
func (b *pushBlob) Size() (int64, error) { return b.size, nil }

// MediaType implements v1.Layer.
func (b *pushBlob) MediaType() (types.MediaType, error) { return b.mediaType, nil }

// pushManifest is a manifest as it is stored.
type pushManifest struct {
	bytes     []byte
	mediaType string
}

var _ remote.Taggable = pushManifest{}

// RawManifest implements remote.Taggable.
func (m pushManifest) RawManifest() ([]byte, error) { return m.bytes, nil }

// MediaType is looked for by remote.Put.
func (m pushManifest) MediaType() (types.MediaType, error) { return types.MediaType(m.mediaType), nil }

func openBytes(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// uploadWatch counts what the transport takes and calls stalled when it takes nothing for a while. The time after the last byte is
// the transport's own to watch (endpoint.uploads).
type uploadWatch struct {
	io.ReadCloser
	at    func(int64)
	done  int64
	stall time.Duration
	timer *time.Timer
}

func watchUpload(r io.ReadCloser, at func(int64), stall time.Duration, stalled func()) *uploadWatch {
	return &uploadWatch{ReadCloser: r, at: at, stall: stall, timer: time.AfterFunc(stall, stalled)}
}

func (w *uploadWatch) Read(p []byte) (int, error) {
	w.timer.Stop()
	n, err := w.ReadCloser.Read(p)
	w.done += int64(n)
	w.at(w.done)
	if err == nil {
		w.timer.Reset(w.stall)
	} else if err != io.EOF {
		err = fromSink(err)
	}
	return n, err
}

func (w *uploadWatch) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}

// has asks whether the repository has a blob.
func (s *session) has(ctx context.Context, blob image.Digest) (bool, error) {
	u := url.URL{Scheme: s.guard.wire.scheme, Host: s.end.host, Path: fmt.Sprintf("/v2/%s/blobs/%s", s.repo.RepositoryStr(), blob)}
	there := false
	err := s.client.retry(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
		if err != nil {
			return err
		}
		resp, err := s.http().Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // no body
		there = resp.StatusCode == http.StatusOK
		return transport.CheckError(resp, http.StatusOK, http.StatusNotFound)
	})
	return there, err
}

// pushError says what Docker says when a push is refused.
func pushError(e endpoint, repository image.Ref, err error) error {
	var answer *transport.Error
	if isSinks(err) {
		return err // the store's own trouble
	}
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		text := answerText(answer)
		if len(answer.Errors) == 0 {
			text = "denied: requested access to the resource is denied"
		}
		return denied(e, "push access denied for %s: %s", repository.FamiliarName(), text).
			hint("log in as somebody who may push there: %s", loginCommand(e.registry))
	}
	return explain(e, "pushing to "+e.host, err)
}
