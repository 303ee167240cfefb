package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// build serves POST /build: the classic builder's stream.
func (s *Server) build(q *request) error {
	o, err := q.buildOptions()
	if err != nil {
		return err
	}
	l, err := q.registryConfig()
	if err != nil {
		return err
	}
	out := &buildStream{q: q, quiet: q.flag("q")}
	classic := &build.Classic{Text: out.text, ID: out.id}
	o.Progress = classic.Event
	res, err := s.images.As(l).Build(q.r.Context(), o, registry.Silent{})
	if err != nil {
		return out.fail(err)
	}
	if out.quiet {
		out.quiet = false
		out.text(string(res.ID) + "\n")
	}
	return nil
}

// buildStream sends the builder's words. It begins with the first, so that an error before has a status of its own.
type buildStream struct {
	q     *request
	quiet bool
	mu    sync.Mutex
	out   *stream
}

func (b *buildStream) send(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out == nil {
		b.out = b.q.stream()
	}
	_ = b.out.send(m) // a client that has gone ends the context
}

func (b *buildStream) text(s string) {
	if !b.quiet {
		b.send(message{Stream: s})
	}
}

func (b *buildStream) id(id image.Digest) {
	if !b.quiet {
		b.send(message{Aux: map[string]string{"ID": string(id)}})
	}
}

// fail ends the stream; the code of a command that failed becomes the client's exit code.
func (b *buildStream) fail(err error) error {
	var exit *build.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.Code
	}
	if b.out == nil && code == 0 {
		return otherwise(http.StatusBadRequest, err)
	}
	b.send(failure(err, code))
	return nil
}

// buildOptions reads the parameters of POST /build.
func (q *request) buildOptions() (build.Options, error) {
	v := q.query
	o := build.Options{
		Dockerfile: v.Get("dockerfile"), InContext: true, Target: v.Get("target"), NoCache: q.flag("nocache"), Network: networkOfBuild(v.Get("networkmode")),
		Sequential: true,
	}
	if v.Get("version") == "2" {
		return o, badRequest("this server has the classic builder only: set DOCKER_BUILDKIT=0")
	}
	for name, to := range map[string]*map[string]string{"buildargs": &o.BuildArgs, "labels": &o.Labels} {
		if err := stringMap(v.Get(name), to); err != nil {
			return o, badRequest("error reading %s: %v", name, err)
		}
	}
	for _, t := range v["t"] {
		r, err := image.ParseRef(t)
		if err != nil {
			return o, badRequest("invalid tag %q: %v", t, err)
		}
		o.Tags = append(o.Tags, r)
	}
	if p := v.Get("platform"); p != "" {
		var err error
		if o.Platform, err = image.ParsePlatform(p); err != nil {
			return o, badRequest("%v", err)
		}
	}
	if q.flag("pull") {
		o.Pull = build.PullAlways
	}
	for h := range strings.SplitSeq(v.Get("extrahosts"), ",") {
		if name, addr, ok := strings.Cut(strings.Replace(h, "=", ":", 1), ":"); ok {
			o.Hosts = append(o.Hosts, name+":"+strings.Trim(addr, "[]"))
		}
	}
	if err := q.buildCaches(&o); err != nil {
		return o, err
	}
	if err := q.buildResources(&o.Resources); err != nil {
		return o, err
	}
	o.Source.Stream = q.r.Body
	if remote := v.Get("remote"); remote != "" && remote != "client-session" {
		o.Source.Stream, o.Source.URL = nil, remote
	}
	return o, nil
}

func networkOfBuild(mode string) string {
	if mode == "default" || mode == "bridge" {
		return ""
	}
	return mode
}

// stringMap reads a JSON object of strings; null means that a variable is not set.
func stringMap(text string, to *map[string]string) error {
	*to = map[string]string{}
	if text == "" {
		return nil
	}
	var m map[string]*string
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return err
	}
	for k, v := range m {
		if v != nil {
			(*to)[k] = *v
		}
	}
	return nil
}

// buildCaches reads cachefrom: images whose layers may be used again.
func (q *request) buildCaches(o *build.Options) error {
	text := q.query.Get("cachefrom")
	if text == "" {
		return nil
	}
	var names []string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return badRequest("error reading cachefrom: %v", err)
	}
	for _, n := range names {
		o.CacheFrom = append(o.CacheFrom, build.CacheSpec{Type: "registry", Ref: n})
	}
	return nil
}

// buildResources reads the limits of RUN's commands.
func (q *request) buildResources(r *build.Resources) error {
	for name, to := range map[string]*int64{
		"memory": &r.Memory, "memswap": &r.MemorySwap, "cpushares": &r.CPUShares, "cpuperiod": &r.CPUPeriod, "cpuquota": &r.CPUQuota, "shmsize": &r.ShmSize,
	} {
		s := q.query.Get(name)
		if s == "" {
			continue
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return badRequest("invalid %s: %q", name, s)
		}
		*to = n
	}
	r.CPUSet, r.MemSet = q.query.Get("cpusetcpus"), q.query.Get("cpusetmems")
	text := q.query.Get("ulimits")
	if text == "" {
		return nil
	}
	var list []struct {
		Name       string
		Soft, Hard int64
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return badRequest("error reading ulimits: %v", err)
	}
	for _, u := range list {
		r.Ulimits = append(r.Ulimits, u.Name+"="+strconv.FormatInt(u.Soft, 10)+":"+strconv.FormatInt(u.Hard, 10))
	}
	return nil
}

// registryConfig reads X-Registry-Config: logins by registry, of which a single one is used for the pulls of base images.
func (q *request) registryConfig() (*registry.Login, error) {
	text := q.r.Header.Get("X-Registry-Config")
	if text == "" {
		return nil, nil
	}
	b, err := io.ReadAll(base64.NewDecoder(base64.URLEncoding, strings.NewReader(text)))
	if err != nil {
		return nil, badRequest("invalid X-Registry-Config header: %v", err)
	}
	var all map[string]view.RegistryAuth
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, badRequest("invalid X-Registry-Config header: %v", err)
	}
	if len(all) != 1 {
		return nil, nil // what is stored is of the same user: the client has read it there
	}
	for _, a := range all {
		if l := loginOf(&a); !l.Empty() {
			return &l, nil
		}
	}
	return nil, nil
}
