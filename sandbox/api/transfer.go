package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/sandbox/engine/images"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// A message is one document of a progress stream.
type message struct {
	Stream   string    `json:"stream,omitempty"`
	Status   string    `json:"status,omitempty"`
	Detail   *progress `json:"progressDetail,omitempty"`
	Progress string    `json:"progress,omitempty"`
	ID       string    `json:"id,omitempty"`
	Err      *detail   `json:"errorDetail,omitempty"`
	Error    string    `json:"error,omitempty"`
	Aux      any       `json:"aux,omitempty"`
}

type progress struct {
	Current int64 `json:"current,omitempty"`
	Total   int64 `json:"total,omitempty"`
}

type detail struct {
	Code    int    `json:"code,omitempty"`
	Message string `json:"message"`
}

// failure is the message that ends a stream badly.
func failure(err error, code int) message {
	return message{Err: &detail{code, err.Error()}, Error: err.Error()}
}

// login reads X-Registry-Auth: URL-safe base64 of JSON, which may be absent, empty or {}; nil then.
func (q *request) login() (*registry.Login, error) {
	text := q.r.Header.Get("X-Registry-Auth")
	if text == "" {
		return nil, nil
	}
	text = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(text), "=")
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, badRequest("invalid X-Registry-Auth header: %v", err)
	}
	var a view.RegistryAuth
	if len(b) > 0 {
		if err := json.Unmarshal(b, &a); err != nil {
			return nil, badRequest("invalid X-Registry-Auth header: %v", err)
		}
	}
	if a.Username == "" && a.Auth != "" {
		if pair, err := base64.StdEncoding.DecodeString(a.Auth); err == nil {
			a.Username, a.Password, _ = strings.Cut(string(pair), ":")
		}
	}
	l := loginOf(&a)
	if l.Empty() {
		return nil, nil
	}
	return &l, nil
}

// redraw bounds how often the progress of one layer is sent.
const redraw = 100 * time.Millisecond

// A reporter sends what a pull or push does. The stream begins with its first word, so that an error before it has a status
// of its own.
type reporter struct {
	q   *request
	mu  sync.Mutex
	out *stream
	at  map[string]sent
}

type sent struct {
	phase registry.Phase
	when  time.Time
}

// send sends a message.
func (p *reporter) send(m message) {
	if p.out == nil {
		p.out = p.q.stream()
	}
	_ = p.out.send(m) // a client that has gone ends the context
}

// Event implements registry.Progress.
func (p *reporter) Event(e registry.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil {
		p.at = map[string]sent{}
	}
	moves := e.Phase == registry.PhaseDownloading || e.Phase == registry.PhaseExtracting || e.Phase == registry.PhasePushing
	last, known := p.at[e.ID]
	if known && last.phase == e.Phase && (!moves || time.Since(last.when) < redraw) {
		return
	}
	p.at[e.ID] = sent{e.Phase, time.Now()}
	switch e.Phase {
	case registry.PhasePullingFrom, registry.PhaseMounted:
		p.send(message{Status: string(e.Phase) + " " + e.Detail, ID: e.ID})
	case registry.PhaseDigest:
		p.send(message{Status: "Digest: " + e.Detail})
	case registry.PhasePushedTag:
		p.send(message{Status: fmt.Sprintf("%s: digest: %s size: %d", e.ID, e.Detail, e.Total)})
		p.send(message{Detail: &progress{}, Aux: map[string]any{"Tag": e.ID, "Digest": e.Detail, "Size": e.Total}})
	case registry.PhaseRetrying, registry.PhaseSkipped:
		p.send(message{Status: string(e.Phase) + ": " + e.Detail, ID: e.ID, Detail: &progress{}})
	default:
		p.send(message{Status: string(e.Phase), ID: e.ID, Detail: &progress{e.Current, e.Total}})
	}
}

// fail ends a stream that has begun with an error message; else the error has a status.
func (p *reporter) fail(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		return err
	}
	p.send(failure(err, 0))
	return nil
}

// imageCreate serves POST /images/create: a pull, or with fromSrc an import.
func (s *Server) imageCreate(q *request) error {
	if q.query.Get("fromSrc") != "" {
		return s.imageImport(q)
	}
	name, tag := q.query.Get("fromImage"), q.query.Get("tag")
	if name == "" {
		return badRequest("invalid reference format")
	}
	pull := images.Pull{Name: name, Platform: q.query.Get("platform")}
	switch {
	case strings.HasPrefix(tag, "sha256:"):
		pull.Name += "@" + tag
	case tag != "":
		pull.Name += ":" + tag
	case !strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") && !strings.Contains(name, "@"):
		pull.AllTags = true
	}
	ref, err := image.ParseRef(pull.Name)
	if err != nil {
		return badRequest("%v", err)
	}
	l, err := q.login()
	if err != nil {
		return err
	}
	p := &reporter{q: q}
	done, err := s.images.As(l).Pull(q.r.Context(), pull, p)
	if err != nil {
		return p.fail(err)
	}
	p.pulled(ref, pull.AllTags, done)
	return nil
}

// pulled sends the last lines of a pull.
func (p *reporter) pulled(ref image.Ref, all bool, done []images.Pulled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []registry.Pulled
	for _, d := range done {
		list = append(list, d.Pulled)
		if d.From != "" {
			p.send(message{Status: "the registry could not be asked (" + d.Why.Error() + "): taken from " + d.From})
		}
		if !all {
			p.send(message{Status: "Digest: " + string(d.Digest)})
			p.send(message{Status: "Status: " + d.Status()})
		}
	}
	if all {
		p.send(message{Status: "Status: " + registry.StatusAll(ref, list)})
	}
}

// push serves POST /images/{name}/push.
func (s *Server) push(q *request) error {
	name := q.vars["name"]
	tag := q.query.Get("tag")
	if tag != "" {
		name += ":" + tag
	}
	ref, err := image.ParseRef(name)
	if err != nil {
		return badRequest("%v", err)
	}
	l, err := q.login()
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(q.r.Body, maxBody))
	p := &reporter{q: q}
	p.send(message{Status: "The push refers to repository [" + ref.Name() + "]"})
	if _, _, err := s.images.As(l).Push(q.r.Context(), name, tag == "" && !strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":"), p); err != nil {
		return p.fail(err)
	}
	return nil
}

// imageImport makes an image of a file system's tar stream: the body (fromSrc=-).
func (s *Server) imageImport(q *request) error {
	if q.query.Get("fromSrc") != "-" {
		return &statusError{http.StatusNotImplemented, "importing from a URL is not supported: send the archive (fromSrc=-)"}
	}
	name := q.query.Get("repo")
	if t := q.query.Get("tag"); t != "" && name != "" {
		name += ":" + t
	}
	id, err := s.images.Import(q.r.Context(), q.r.Body, images.Import{
		Name: name, Message: q.query.Get("message"), Changes: q.query["changes"], Platform: q.query.Get("platform"),
	})
	if err != nil {
		return otherwise(http.StatusBadRequest, err)
	}
	return q.stream().send(message{Status: string(id)})
}
