package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Found is one result of a search. The texts are the registry's: quote them before they reach a terminal.
type Found struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Stars       int    `json:"star_count"`
	Official    bool   `json:"is_official"`
	Automated   bool   `json:"is_automated"`
}

// DefaultSearchLimit and MaxSearchLimit are Docker's.
const (
	DefaultSearchLimit = 25
	MaxSearchLimit     = 100
)

// Search looks for repositories. term may begin with a registry (quay.io/podman); without one it is Docker Hub. Registries without
// a search of their own are asked for their catalog. limit 0 means DefaultSearchLimit.
func (c *Client) Search(ctx context.Context, term string, limit int) ([]Found, error) {
	if limit == 0 {
		limit = DefaultSearchLimit
	}
	if limit < 1 || limit > MaxSearchLimit {
		return nil, fmt.Errorf("limit %d is outside the range of [1, %d]", limit, MaxSearchLimit)
	}
	registry, words := splitTerm(term)
	e, err := c.upstream(ctx, registry)
	if err != nil {
		return nil, err
	}
	if e.host == hubHost {
		e.host = hubSearch
	}
	found, err := c.searchAt(ctx, e, words, limit)
	if err != nil {
		return nil, explain(e, "searching "+e.host, err)
	}
	return found, nil
}

func splitTerm(term string) (registry, words string) {
	first, rest, ok := strings.Cut(term, "/")
	if ok && (first == "localhost" || strings.ContainsAny(first, ".:")) {
		return canonicalRegistry(first), rest
	}
	return hubName, term
}

func (c *Client) searchAt(ctx context.Context, e endpoint, words string, limit int) ([]Found, error) {
	s, err := c.openForSearch(ctx, e)
	if err != nil {
		return nil, err
	}
	query := url.Values{"q": {words}, "n": {strconv.Itoa(limit)}}
	u := &url.URL{Scheme: s.guard.wire.scheme, Host: e.host, Path: "/v1/search", RawQuery: query.Encode()}
	body, _, err := s.getDocument(ctx, u, maxPageBytes)
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return s.searchCatalog(ctx, words, limit)
	}
	if err != nil {
		return nil, err
	}
	var doc struct{ Results []Found }
	if err := json.Unmarshal(body, &doc); err != nil {
		return s.searchCatalog(ctx, words, limit) // some answer every path with their web page
	}
	return doc.Results[:min(len(doc.Results), limit)], nil
}

// openForSearch shakes no hands with Docker Hub, whose search is older than its tokens and knows nothing of them.
func (c *Client) openForSearch(ctx context.Context, e endpoint) (*session, error) {
	if e.host != hubSearch {
		return c.open(ctx, e, "", nil, "registry:catalog:*")
	}
	w, err := c.wire(e, "https")
	if err != nil {
		return nil, err
	}
	g := &guard{wire: w, userAgent: c.config.UserAgent}
	return &session{client: c, end: e, guard: g, auth: g}, nil
}

func (s *session) searchCatalog(ctx context.Context, words string, limit int) ([]Found, error) {
	names, err := s.catalog(ctx, words, limit)
	if err != nil {
		return nil, err
	}
	found := make([]Found, len(names))
	for i, name := range names {
		found[i] = Found{Name: s.end.registry + "/" + name}
	}
	return found, nil
}
