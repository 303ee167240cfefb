package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// The range of API versions, by their minor numbers: 1.24 to 1.51.
const (
	oldest = 24
	newest = 51
)

// A request is one call of a client.
type request struct {
	w       *answer
	r       *http.Request
	version int               // minor number of the API version the client speaks
	vars    map[string]string // parts of the path
	query   url.Values
}

// A route is a method and a path, whose parts in braces are variables; {name...} may hold slashes, as names of images do.
type route struct {
	method string
	path   []string
	do     func(*request) error
}

func on(method, path string, do func(*request) error) route {
	return route{method, strings.Split(strings.TrimPrefix(path, "/"), "/"), do}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{w: &answer{ResponseWriter: w}, r: r, version: newest, query: r.URL.Query()}
	h := w.Header()
	h.Set("Api-Version", fmt.Sprintf("1.%d", newest))
	h.Set("Docker-Experimental", "false")
	h.Set("Ostype", "linux")
	h.Set("Server", "Docker/"+s.version+" (linux)")
	if err := s.dispatch(q); err != nil {
		q.fail(err)
	}
}

// dispatch reads the version in front of the path and calls what is behind it.
func (s *Server) dispatch(q *request) error {
	parts := strings.Split(strings.TrimPrefix(q.r.URL.Path, "/"), "/")
	if n, ok := versionPrefix(parts[0]); ok {
		if err := q.speak(parts[0][1:], n); err != nil {
			return err
		}
		parts = parts[1:]
	}
	for i := range s.routes {
		rt := &s.routes[i]
		if rt.method != q.r.Method {
			continue
		}
		if vars, ok := match(rt.path, parts); ok {
			q.vars = vars
			return rt.do(q)
		}
	}
	return &statusError{http.StatusNotFound, "page not found"}
}

// versionPrefix reads v1.41; the number is 0 for a version that is none of Docker's.
func versionPrefix(s string) (minor int, ok bool) {
	rest, ok := strings.CutPrefix(s, "v")
	major, tail, dot := strings.Cut(rest, ".")
	if !ok || !dot {
		return 0, false
	}
	if _, err := strconv.Atoi(major); err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(tail)
	if err != nil {
		return 0, false
	}
	if major != "1" {
		return 1000, true
	}
	return n, true
}

// speak notes the version that a client speaks, or refuses it in Docker's words.
func (q *request) speak(name string, minor int) error {
	switch {
	case minor < oldest:
		return badRequest("client version %s is too old. Minimum supported API version is 1.%d, please upgrade your client to a newer version", name, oldest)
	case minor > newest:
		return badRequest("client version %s is too new. Maximum supported API version is 1.%d", name, newest)
	}
	q.version = minor
	return nil
}

// match compares a path with a pattern. A variable that may hold slashes takes as many parts as the others leave.
func match(pattern, parts []string) (map[string]string, bool) {
	vars := map[string]string{}
	for i, p := range pattern {
		name, many := strings.CutSuffix(strings.Trim(p, "{}"), "...")
		take := 1
		if many {
			take = len(parts) - (len(pattern) - 1 - i)
		}
		if take < 1 || len(parts) < take {
			return nil, false
		}
		value := strings.Join(parts[:take], "/")
		switch {
		case !strings.HasPrefix(p, "{"):
			if value != p {
				return nil, false
			}
		case value == "":
			return nil, false
		default:
			vars[name] = value
		}
		parts = parts[take:]
	}
	return vars, len(parts) == 0
}

// flag reads a yes-or-no parameter as Docker does: what is empty, 0, no, false or none means no.
func (q *request) flag(name string) bool {
	switch strings.ToLower(strings.TrimSpace(q.query.Get(name))) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}

// number reads a number, or what stands for it where there is none.
func (q *request) number(name string, otherwise int) (int, error) {
	s := q.query.Get(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, badRequest("invalid %s: %q", name, s)
	}
	return n, nil
}
