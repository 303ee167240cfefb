package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// An answer is a response that knows whether it has begun.
type answer struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(code)
}

// Write implements io.Writer.
func (a *answer) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// flush sends what was written.
func (a *answer) flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }

// fail answers with an error, if nothing was answered yet.
func (q *request) fail(err error) {
	if q.w.begun {
		return
	}
	code := statusOf(err)
	if code == http.StatusNotModified || q.r.Method == http.MethodHead {
		q.w.WriteHeader(code)
		return
	}
	q.json(code, map[string]string{"message": strings.TrimSpace(err.Error())})
}

// json answers with a document.
func (q *request) json(code int, v any) {
	q.w.Header().Set("Content-Type", "application/json")
	q.w.WriteHeader(code)
	enc := json.NewEncoder(q.w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client has gone
}

// ok answers with a document and 200.
func (q *request) ok(v any) error {
	q.json(http.StatusOK, v)
	return nil
}

// none answers that it was done.
func (q *request) none() error {
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxBody bounds a request's document.
const maxBody = 4 << 20

// body reads a request's document, which may be absent where that is allowed.
func (q *request) body(v any, optional bool) error {
	b, err := io.ReadAll(io.LimitReader(q.r.Body, maxBody))
	if err != nil {
		return badRequest("reading the request: %v", err)
	}
	return decode(b, v, optional)
}

// decode reads a document in Docker's words for what may be wrong with it.
func decode(b []byte, v any, optional bool) error {
	if len(strings.TrimSpace(string(b))) == 0 {
		if optional {
			return nil
		}
		return badRequest("invalid JSON: got EOF while reading request body")
	}
	if err := json.Unmarshal(b, v); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return badRequest("invalid JSON: %v", err)
		}
		return badRequest("invalid parameter: %v", err)
	}
	return nil
}

// A stream is a sequence of JSON documents, each sent at once.
type stream struct{ q *request }

// stream begins one; headers are sent at once.
func (q *request) stream() *stream {
	q.w.Header().Set("Content-Type", "application/json")
	q.w.WriteHeader(http.StatusOK)
	q.w.flush()
	return &stream{q}
}

// send sends a document.
func (s *stream) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := s.q.w.Write(append(b, '\r', '\n')); err != nil {
		return err
	}
	s.q.w.flush()
	return nil
}
