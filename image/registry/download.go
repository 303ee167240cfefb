package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/moss-sandbox/moss/image"
)

// progressWorth is how many bytes must arrive for a connection to count as useful: after so many, the count of failures starts
// anew. Without a threshold a server that sends one byte per connection would hold us for ever.
const progressWorth = 1 << 20

// download reads a blob over as many connections as it takes. It connects at the first Read; it gives io.EOF only after length and
// SHA-256 were found right. One goroutine at a time.
type download struct {
	s        *session
	ctx      context.Context //nolint:containedctx // an io.Reader has no other way to learn of the end
	blob     image.Descriptor
	onBytes  func(done int64)
	onRetry  func(error)
	sum      hash.Hash // nil if the reader hashes
	done     int64     // bytes given to the reader
	useful   int64     // value of done at which failures was last reset
	failures int
	conn     *connection // nil before the first Read and after a failure
	err      error       // sticky end: io.EOF or what went wrong
}

func (s *session) download(ctx context.Context, blob image.Descriptor) *download {
	return &download{
		s: s, ctx: ctx, blob: blob, sum: sha256.New(),
		onBytes: func(int64) {}, onRetry: func(error) {},
	}
}

// Read implements io.Reader.
func (d *download) Read(p []byte) (int, error) {
	for d.err == nil {
		n, err := d.read(p)
		if n > 0 {
			if d.sum != nil {
				d.sum.Write(p[:n])
			}
			d.done += int64(n)
			d.onBytes(d.done)
		}
		if err != nil {
			d.err = d.after(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, d.err
}

// Close gives the connection back. It does not make Read fail.
func (d *download) Close() error {
	d.disconnect()
	return nil
}

func (d *download) read(p []byte) (int, error) {
	if d.conn == nil {
		conn, err := d.connect()
		if err != nil {
			return 0, err
		}
		d.conn = conn
	}
	left := d.blob.Size - d.done
	if left == 0 {
		return 0, d.conn.end()
	}
	if int64(len(p)) > left {
		p = p[:left]
	}
	return d.conn.read(p)
}

// after decides what an error of one connection means for the download: the end, or another connection (nil).
func (d *download) after(err error) error {
	whole := d.done == d.blob.Size
	d.disconnect()
	switch {
	case d.ctx.Err() != nil:
		return context.Cause(d.ctx)
	case whole && !errors.Is(err, ErrSize): // how the connection ends after the last byte is of no interest
		return d.verify()
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	if d.done-d.useful >= progressWorth {
		d.useful, d.failures = d.done, 0
	}
	if !d.s.client.worthRetry(err) || d.failures >= d.s.client.config.Patience.Retries {
		return d.explain(err)
	}
	d.onRetry(err)
	pauseErr := d.s.client.pause(d.ctx, d.failures, err)
	d.failures++
	return pauseErr
}

func (d *download) verify() error {
	if d.sum == nil {
		return io.EOF
	}
	if got := image.DigestOf(d.sum.Sum(nil)); got != d.blob.Digest {
		return fail(ErrDigest, "digest mismatch: blob %s from %s hashes to %s", d.blob.Digest.Short(), d.s.end.host, got.Short()).
			hint("nothing of it was stored; the registry or something on the way to it (a proxy, a mirror) changes data")
	}
	return io.EOF
}

func (d *download) explain(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(ErrSize, "blob %s from %s ends after %d of %d bytes", d.blob.Digest.Short(), d.s.end.host, d.done, d.blob.Size).
			hint("the connection broke again and again; the next pull goes on with the layers that are complete")
	}
	if errors.Is(err, ErrStalled) {
		return fail(ErrStalled, "download of blob %s from %s stalled after %d of %d bytes", d.blob.Digest.Short(), d.s.end.host, d.done, d.blob.Size).
			hint("connections stand but (almost) nothing arrives; check the network, or use a mirror")
	}
	return explain(d.s.end, "downloading "+d.blob.Digest.Short()+" from "+d.s.end.host, err)
}

func (d *download) disconnect() {
	if d.conn != nil {
		d.conn.close()
		d.conn = nil
	}
}

// connect asks for the rest of the blob.
func (d *download) connect() (*connection, error) {
	ctx, cancel := context.WithCancelCause(d.ctx)
	conn := &connection{cancel: cancel, patience: d.s.client.config.Patience}
	resp, err := d.ask(ctx)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	conn.body = resp.Body
	conn.ctx = ctx
	if err := d.position(conn, resp); err != nil {
		conn.close()
		return nil, err
	}
	return conn, nil
}

// ask tries the registry and then, for a foreign layer the registry has not, the URLs in its descriptor.
func (d *download) ask(ctx context.Context) (*http.Response, error) {
	u := url.URL{Scheme: d.s.guard.wire.scheme, Host: d.s.end.host, Path: fmt.Sprintf("/v2/%s/blobs/%s", d.s.repo.RepositoryStr(), d.blob.Digest)}
	resp, err := d.get(ctx, d.s.http(), u.String())
	var answer *transport.Error
	if !d.blob.Foreign() || !errors.As(err, &answer) || answer.StatusCode != http.StatusNotFound {
		return resp, err
	}
	for _, foreignURL := range d.blob.URLs {
		// The guard alone, without authentication above it: these URLs get no credentials, and are judged like a redirect.
		if resp, foreignErr := d.get(ctx, &http.Client{Transport: d.s.guard}, foreignURL); foreignErr == nil {
			return resp, nil
		} else if errors.Is(foreignErr, ErrUnsafe) {
			return nil, foreignErr
		}
	}
	return nil, err
}

func (d *download) get(ctx context.Context, client *http.Client, from string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	if d.done > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", d.done, d.blob.Size-1)) // some understand only the closed form
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// position makes the body continue where the last one broke: a registry may ignore the range and start anew.
func (d *download) position(conn *connection, resp *http.Response) error {
	want := d.blob.Size
	if resp.StatusCode == http.StatusPartialContent {
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.done)) {
			return fail(ErrServer, "registry %s answers for %q where bytes from %d were asked for", d.s.end.host, foreign(resp.Header.Get("Content-Range")), d.done)
		}
		want -= d.done
	}
	if resp.ContentLength >= 0 && resp.ContentLength != want {
		return fail(ErrSize, "blob %s at %s has %d bytes, its manifest says %d", d.blob.Digest.Short(), d.s.end.host, resp.ContentLength+d.blob.Size-want, d.blob.Size)
	}
	conn.counted = resp.ContentLength >= 0
	if resp.StatusCode == http.StatusOK && d.done > 0 {
		return conn.skip(d.done)
	}
	return nil
}

// connection is one answer's body under a watch: a read that takes longer than Patience.Stall, or an average below MinRate over
// that time, ends it. Only time spent waiting for the network counts, not the time the reader takes between reads.
type connection struct {
	body     io.ReadCloser
	ctx      context.Context //nolint:containedctx // belongs to the one request
	cancel   context.CancelCauseFunc
	patience Patience
	counted  bool // the server announced the length, net/http cuts there
	waited   time.Duration
	arrived  int64
}

func (c *connection) read(p []byte) (int, error) {
	start := time.Now()
	timer := time.AfterFunc(c.patience.Stall, func() { c.cancel(errStalled) })
	n, err := c.body.Read(p)
	timer.Stop()
	if err != nil && context.Cause(c.ctx) == errStalled { //nolint:errorlint // the very value
		err = errStalled
	}
	c.waited += time.Since(start)
	c.arrived += int64(n)
	if c.waited < c.patience.Stall {
		return n, err
	}
	if tooSlow := c.arrived < int64(c.waited.Seconds()*float64(c.patience.MinRate)); tooSlow && err == nil {
		err = errStalled
	}
	c.waited, c.arrived = 0, 0
	return n, err
}

// errStalled is never changed; every use is the same failure.
var errStalled = fail(ErrStalled, "the registry has stopped sending")

// end says io.EOF if the body ends here.
func (c *connection) end() error {
	if c.counted {
		return io.EOF
	}
	n, err := c.read(make([]byte, 1))
	if n > 0 {
		return fail(ErrSize, "the registry sends more bytes than the manifest says")
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (c *connection) skip(n int64) error {
	buf := make([]byte, 64<<10)
	for n > 0 {
		got, err := c.read(buf[:min(n, int64(len(buf)))])
		n -= int64(got)
		if err != nil && n > 0 {
			return err
		}
	}
	return nil
}

func (c *connection) close() {
	c.cancel(nil)
	_ = c.body.Close()
}
