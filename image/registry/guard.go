package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// errWrongScheme answers the half of go-containerregistry's http-or-https race that this endpoint is not to be asked by.
var errWrongScheme = errors.New("internal error: the other scheme's turn")

const maxRedirects = 10

// guard is the RoundTripper at the bottom of every exchange with one endpoint, below go-containerregistry's authentication. It
// relies on nothing above it:
//
//   - the registry is spoken to by one scheme only; nobody in the clear unless the registry is insecure;
//   - what was said to the registry in an Authorization header is never said to another host; a password goes to the realm the
//     registry itself named, and nowhere else;
//   - a form, which carries the identity token, is never sent on after a redirect;
//   - hosts the registry names are judged before they are called (names once more by the dialler, see [wire]);
//   - redirects end after ten, bodies end at the limit the caller set, 429 becomes an error that knows how long to wait.
type guard struct {
	wire      *wire
	userAgent string
	realms    sync.Map // host:port of the realms named by the registry → true
	said      sync.Map // Authorization values sent to the registry → true
	mu        sync.Mutex
	lastErr   error // of the transport; what a lost race hides
	quota     Quota
}

// Quota is what a registry says about its rate limit; zero if it says nothing.
type Quota struct {
	Limit, Remaining int
	Window           time.Duration
}

// bodyLimit is the context key for the number of bytes the caller will take.
type bodyLimit struct{}

func withBodyLimit(ctx context.Context, n int64) context.Context {
	return context.WithValue(ctx, bodyLimit{}, n)
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	out, err := g.prepare(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // RoundTrip must close it, also on errors
		}
		return nil, err
	}
	resp, err := g.wire.transport.RoundTrip(out)
	if err != nil {
		g.mu.Lock()
		g.lastErr = err
		g.mu.Unlock()
		return nil, err
	}
	resp.Request = req
	if err := g.judge(req, resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// prepare returns the request as it may leave, or why it may not.
func (g *guard) prepare(req *http.Request) (*http.Request, error) {
	out := req.Clone(req.Context())
	restoreRealmHost(out)
	own := g.isRegistry(out.URL)
	if own && out.URL.Scheme != g.wire.scheme {
		if req.Response == nil {
			return nil, errWrongScheme
		}
		own = false // a redirect to the other scheme's port: somebody else as far as credentials go
	}
	if err := g.mayCall(out, own); err != nil {
		return nil, err
	}
	out.Header.Set("User-Agent", g.userAgent)
	if auth := out.Header.Get("Authorization"); auth != "" {
		if own {
			g.said.Store(auth, true)
		} else if !g.mayCarry(out.URL, auth) {
			out.Header.Del("Authorization")
		}
	}
	return out, nil
}

func (g *guard) isRegistry(u *url.URL) bool {
	return hostPort(u) == hostPort(&url.URL{Scheme: u.Scheme, Host: g.wire.end.host})
}

func (g *guard) mayCall(req *http.Request, own bool) error {
	hops := 0
	for r := req; r.Response != nil && r.Response.Request != nil; r = r.Response.Request {
		if hops++; hops > maxRedirects {
			return fail(ErrServer, "registry %s redirects more than %d times", g.wire.end.host, maxRedirects)
		}
	}
	if hops > 0 && req.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		return fail(ErrUnsafe, "token server of %s redirects a request with credentials to %q", g.wire.end.host, foreign(req.URL.Host))
	}
	if own {
		return nil
	}
	return g.mayVisit(req.URL)
}

// mayVisit judges a URL the registry named.
func (g *guard) mayVisit(u *url.URL) error {
	if u.Scheme != "https" && !(u.Scheme == "http" && g.wire.end.insecure) {
		return fail(ErrUnsafe, "registry %s sends us to %q, which is not https", g.wire.end.host, foreign(u.Scheme+"://"+u.Host)).
			hint("if you trust this registry and the network in between, add %q to the insecure registries", g.wire.end.host)
	}
	return g.wire.allow(u.Host, classOfName(u.Hostname()))
}

// mayCarry says whether credentials may go to a host that is not the registry.
func (g *guard) mayCarry(u *url.URL, auth string) bool {
	if strings.HasPrefix(auth, "Basic ") {
		_, named := g.realms.Load(hostPort(u))
		return named
	}
	// A bearer token was given for one host. go-containerregistry fetches another, anonymously, where a registry redirects to a
	// second registry; that one passes.
	_, theRegistrys := g.said.Load(auth)
	return !theRegistrys
}

// judge looks at an answer before anybody else acts on it.
func (g *guard) judge(req *http.Request, resp *http.Response) error {
	own := g.isRegistry(req.URL)
	if own {
		g.noteQuota(resp.Header)
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return rateLimited(g.wire.end, resp)
	case resp.StatusCode == http.StatusUnauthorized && own:
		if err := g.noteRealms(resp); err != nil {
			return err
		}
	}
	if limit, ok := req.Context().Value(bodyLimit{}).(int64); ok {
		return limitBody(resp, limit)
	}
	return nil
}

// noteRealms checks the realms a 401 names and remembers them. One bad realm is an error even beside good ones.
func (g *guard) noteRealms(resp *http.Response) error {
	for i, header := range resp.Header.Values("WWW-Authenticate") {
		for _, c := range parseChallenges(header) {
			if c.scheme != "bearer" {
				continue
			}
			realm := c.params["realm"]
			u, err := url.Parse(realm)
			if err != nil || u.Host == "" || u.User != nil {
				return fail(ErrServer, "registry %s names a token server we cannot read: %q", g.wire.end.host, foreign(realm))
			}
			if !g.isRegistry(u) || u.Scheme != g.wire.scheme {
				if err := g.mayVisit(u); err != nil {
					return err
				}
			}
			g.realms.Store(hostPort(u), true)
			resp.Header["Www-Authenticate"][i] = disguiseRealmHost(header, realm, u)
		}
	}
	return nil
}

// rateLimited turns a 429 into an error with the time to wait.
func rateLimited(e endpoint, resp *http.Response) error {
	wait := retryAfter(resp.Header, time.Now())
	text := "registry " + e.host + " limits how often images may be pulled"
	if wait > 0 {
		text += "; try again in " + wait.Round(time.Second).String()
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // the explanation is a bonus
	if message := registryMessage(b); message != "" {
		text += " (" + message + ")"
	}
	err := fail(ErrRateLimited, "%s", text)
	err.Wait = wait
	return err.hint("moss login raises the limit of most registries; a mirror or a shared store (MOSS_STORES) avoids it")
}

// retryAfter reads RFC 9110's two forms and Docker Hub's third, an absolute time in seconds.
func retryAfter(h http.Header, now time.Time) time.Duration {
	s := h.Get("Retry-After")
	if s == "" {
		s = h.Get("X-Retry-After")
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		if n > 1_000_000_000 {
			return max(0, time.Unix(n, 0).Sub(now))
		}
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// noteQuota reads Docker Hub's "ratelimit-remaining: 76;w=21600".
func (g *guard) noteQuota(h http.Header) {
	remaining, window, ok := parseQuota(h.Get("Ratelimit-Remaining"))
	if !ok {
		return
	}
	limit, _, _ := parseQuota(h.Get("Ratelimit-Limit"))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.quota = Quota{Limit: limit, Remaining: remaining, Window: window}
}

// Quota is the rate limit as of the last answer.
func (g *guard) Quota() Quota {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.quota
}

func parseQuota(s string) (n int, window time.Duration, ok bool) {
	count, rest, _ := strings.Cut(s, ";")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil || n < 0 {
		return 0, 0, false
	}
	if w, found := strings.CutPrefix(strings.TrimSpace(rest), "w="); found {
		if seconds, err := strconv.Atoi(w); err == nil && seconds > 0 {
			window = time.Duration(seconds) * time.Second
		}
	}
	return n, window, true
}

// limitBody refuses bodies over the limit: at once where the length is announced, else when they exceed it.
func limitBody(resp *http.Response, limit int64) error {
	if resp.ContentLength > limit {
		return tooLarge(limit)
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: limit, limit: limit}
	return nil
}

func tooLarge(limit int64) error {
	return fail(ErrTooLarge, "answer of the registry is larger than %d bytes", limit)
}

// limitedBody is a JSON document of limited size, in bytes and in values: it is counted here since go-containerregistry decodes
// what it fetches before we see it.
type limitedBody struct {
	io.ReadCloser
	left, limit int64
	values      int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, tooLarge(b.limit)
	}
	if b.values += countValues(p[:n]); b.values > maxValues {
		return 0, tooManyValues("answer of the registry")
	}
	return n, err
}

// maxValues bounds the values in a document. Without it 4 MB of "{}," cost 600 MB when they are decoded.
const maxValues = 200_000

// countValues counts what begins or separates values; those inside of strings count too, which no honest document will notice.
func countValues(b []byte) int {
	n := 0
	for _, c := range b {
		if c == ',' || c == '{' || c == '[' {
			n++
		}
	}
	return n
}

func tooManyValues(what string) error {
	return fail(ErrTooLarge, "%s has more than %d values", what, maxValues)
}
