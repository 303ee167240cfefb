package registrytest

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// Options describe a registry. The zero value is one without TLS, password and fault.
type Options struct {
	TLS      *Authority // nil: plain HTTP
	Names    []string   // host names in the certificate, beside 127.0.0.1 and localhost
	User     string     // "" admits everybody
	Password string
	Token    bool   // ask by bearer tokens from a token server at /token of the same host
	Realm    string // names another token server instead
	// Fault stands before the registry and may do to requests what it likes.
	Fault func(http.Handler) http.Handler
}

// Request is what a registry was asked, as it arrived.
type Request struct {
	Method, Host, Path, Query string
	Header                    http.Header
}

// Server is a registry in this process.
type Server struct {
	Host  string // 127.0.0.1:PORT
	inner http.Handler
	opts  Options
	mu    sync.Mutex
	seen  []Request
}

// Start serves a registry until the test ends.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	silent := log.New(io.Discard, "", 0)
	handler := ggcr.New(ggcr.Logger(silent))
	s := &Server{opts: opts, inner: handler}
	if opts.Fault != nil {
		handler = opts.Fault(handler)
	}
	server := httptest.NewUnstartedServer(s.record(s.admit(handler)))
	server.Config.ErrorLog = silent
	if opts.TLS != nil {
		server.TLS = opts.TLS.ServerConfig(t, opts.Names...)
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	s.Host = strings.TrimPrefix(strings.TrimPrefix(server.URL, "https://"), "http://")
	return s
}

// StartHandler serves any handler as a registry would be, and records what it is asked.
func StartHandler(t testing.TB, opts Options, handler http.Handler) *Server {
	opts.Fault = func(http.Handler) http.Handler { return handler }
	return Start(t, opts)
}

// Requests returns what has been asked so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.seen...)
}

// Count tells how many requests had this method and a path that contains part.
func (s *Server) Count(method, part string) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Method == method && strings.Contains(r.Path, part) {
			n++
		}
	}
	return n
}

// Forget empties the record.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}

// Address is where the server listens.
func (s *Server) Address() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", s.Host) // made by httptest
	return a
}

func (s *Server) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, Request{r.Method, r.Host, r.URL.Path, r.URL.RawQuery, r.Header.Clone()})
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// admit lets those pass who know the password, or have a token for it.
func (s *Server) admit(next http.Handler) http.Handler {
	if s.opts.User == "" && !s.opts.Token && s.opts.Realm == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && s.opts.Token:
			s.giveToken(w, r)
		case s.known(r):
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", s.challenge(r))
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		}
	})
}

func (s *Server) challenge(r *http.Request) string {
	if !s.opts.Token && s.opts.Realm == "" {
		return `Basic realm="test"`
	}
	realm := s.opts.Realm
	if realm == "" {
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		realm = scheme + "://" + r.Host + "/token"
	}
	return `Bearer realm="` + realm + `",service="test"`
}

// theToken is what the token server gives to those who know the password.
const theToken = "dG9rZW4tb2YtdGhlLXRlc3Q"

func (s *Server) giveToken(w http.ResponseWriter, r *http.Request) {
	user, password, ok := r.BasicAuth()
	if s.opts.User != "" && (!ok || user != s.opts.User || password != s.opts.Password) {
		http.Error(w, `{"details":"incorrect username or password"}`, http.StatusUnauthorized)
		return
	}
	_, _ = io.WriteString(w, `{"token":"`+theToken+`"}`)
}

func (s *Server) known(r *http.Request) bool {
	if s.opts.Token || s.opts.Realm != "" {
		return r.Header.Get("Authorization") == "Bearer "+theToken
	}
	user, password, ok := r.BasicAuth()
	return ok && user == s.opts.User && password == s.opts.Password
}

// ServeHTTP answers as the registry behind passwords and faults would, for handlers that answer only a part themselves.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.inner.ServeHTTP(w, r) }

// StartTLS serves a handler with a TLS configuration of the caller's and returns host:port.
func StartTLS(t testing.TB, config *tls.Config, handler http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "https://")
}
