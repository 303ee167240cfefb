package registry

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// retry runs f until it succeeds, fails for good, or Patience is used up. A rate limit is waited for if the registry asks for no
// more than Patience.RateLimit.
func (c *Client) retry(ctx context.Context, f func() error) error {
	for attempt := 0; ; attempt++ {
		err := f()
		if err == nil || attempt >= c.config.Patience.Retries || !c.worthRetry(err) {
			return err
		}
		if ctxErr := c.pause(ctx, attempt, err); ctxErr != nil {
			return ctxErr
		}
	}
}

// pause waits before attempt+1, the longer the more attempts failed. It returns ctx's error when that ends first.
func (c *Client) pause(ctx context.Context, attempt int, cause error) error {
	p := c.config.Patience
	wait := min(p.Backoff<<min(attempt, 20), p.MaxBackoff)
	wait += time.Duration(rand.Int64N(int64(wait)/4 + 1))
	var limited *Error
	if errors.As(cause, &limited) && limited.Wait > 0 {
		wait = limited.Wait
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// worthRetry tells passing trouble from what will be the same the next time. A host that does not exist or refuses connections is
// reported at once: the user has more likely mistyped it.
func (c *Client) worthRetry(err error) bool {
	var ours *Error
	if errors.As(err, &ours) {
		switch ours.Kind {
		case ErrRateLimited:
			return ours.Wait > 0 && ours.Wait <= c.config.Patience.RateLimit
		case ErrStalled:
			return true
		}
		return false
	}
	var answer *transport.Error
	if errors.As(err, &answer) {
		return passing(answer.StatusCode)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, syscall.ECONNREFUSED) {
		return false
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) {
		return true
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsTemporary && !dns.IsNotFound
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// passing lists the statuses of overloaded or restarting servers and proxies; 499 is nginx's, 520 to 524 are Cloudflare's.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout, 499, 520, 521, 522, 523, 524:
		return true
	}
	return false
}
