package registrytest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// Fault is something that stands before a registry.
type Fault = func(http.Handler) http.Handler

// On applies a fault to requests with this method and a path that contains part.
func On(method, part string, fault Fault) Fault {
	return func(next http.Handler) http.Handler {
		broken := fault(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == method && strings.Contains(r.URL.Path, part) {
				broken.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Blobs applies a fault to downloads of blobs of at least min bytes; a config is smaller than a layer.
func Blobs(min int, fault Fault) Fault {
	return func(next http.Handler) http.Handler {
		broken := fault(next)
		return On(http.MethodGet, "/blobs/", func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				head := r.Clone(r.Context())
				head.Method = http.MethodHead
				head.Header.Del("Range")
				probe := httptest.NewRecorder()
				next.ServeHTTP(probe, head)
				var size int
				_, _ = fmt.Sscan(probe.Header().Get("Content-Length"), &size)
				if size >= min {
					broken.ServeHTTP(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
		})(next)
	}
}

// Times applies a fault to the first n requests it sees.
func Times(n int, fault Fault) Fault {
	return func(next http.Handler) http.Handler {
		broken := fault(next)
		left := make(chan struct{}, n)
		for range n {
			left <- struct{}{}
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-left:
				broken.ServeHTTP(w, r)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

// CutAfter lets n bytes of the body through and then breaks the connection.
func CutAfter(n int) Fault {
	return rewrite(func(w http.ResponseWriter, _ *http.Request, body []byte) {
		_, _ = w.Write(body[:min(n, len(body))])
		if n < len(body) {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
}

// StallAfter lets n bytes of the body through and then sends nothing until the client goes away.
func StallAfter(n int) Fault {
	return rewrite(func(w http.ResponseWriter, r *http.Request, body []byte) {
		_, _ = w.Write(body[:min(n, len(body))])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
}

// Drip sends one byte per interval.
func Drip(interval time.Duration) Fault {
	return rewrite(func(w http.ResponseWriter, r *http.Request, body []byte) {
		for i := range body {
			_, _ = w.Write(body[i : i+1])
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(interval):
			}
		}
	})
}

// WrongBytes changes the last byte.
func WrongBytes() Fault {
	return rewrite(func(w http.ResponseWriter, _ *http.Request, body []byte) {
		if len(body) > 0 {
			body[len(body)-1] ^= 1
		}
		_, _ = w.Write(body)
	})
}

// Resize sends n bytes less (negative) or more than there are, as if that were right; unannounced hides the length.
func Resize(n int, unannounced bool) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := record(next, r)
			body := append(rec.Body.Bytes(), make([]byte, max(n, 0))...)
			body = body[:max(0, len(body)+min(n, 0))]
			copyHeader(w, rec)
			w.Header().Del("Content-Length")
			w.WriteHeader(rec.Code)
			if unannounced {
				_ = http.NewResponseController(w).Flush()
			}
			_, _ = w.Write(body)
		})
	}
}

// NoRanges ignores the Range header.
func NoRanges() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Range")
			next.ServeHTTP(w, r)
		})
	}
}

// Status answers with a status, headers ("Key: value") and a body.
func Status(code int, body string, headers ...string) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for _, h := range headers {
				key, value, _ := strings.Cut(h, ": ")
				w.Header().Set(key, value)
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		})
	}
}

// Redirect sends the client to another base URL, with the same path, or to a fixed URL if to has a path.
func Redirect(to string) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			target := to
			if strings.Count(to, "/") == 2 {
				target += r.URL.Path
			}
			http.Redirect(w, r, target, http.StatusTemporaryRedirect)
		})
	}
}

// ContentType replaces the type of the answer.
func ContentType(kind string) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := record(next, r)
			copyHeader(w, rec)
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
		})
	}
}

// Document answers with these bytes and this type.
func Document(kind string, body []byte) Fault {
	return Status(http.StatusOK, string(body), "Content-Type: "+kind)
}

// Endless sends bytes of JSON white space without an end, up to n.
func Endless(kind string, n int64) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			blank := bytes.Repeat([]byte(" "), 1<<20)
			for sent := int64(0); sent < n; sent += int64(len(blank)) {
				if _, err := w.Write(blank); err != nil {
					return
				}
			}
		})
	}
}

// rewrite hands the true answer's body to send, after its header.
func rewrite(send func(w http.ResponseWriter, r *http.Request, body []byte)) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := record(next, r)
			copyHeader(w, rec)
			w.WriteHeader(rec.Code)
			send(w, r, rec.Body.Bytes())
		})
	}
}

func record(next http.Handler, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	return rec
}

func copyHeader(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	for key, values := range rec.Header() {
		w.Header()[key] = values
	}
}
