package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/moss-sandbox/moss/image"
)

// Bounds of lists a registry sends: bytes of a page, entries of all pages.
const (
	maxPageBytes = 8 << 20
	maxEntries   = 100_000
)

// Tags lists the tags of a repository in the registry's order.
func (c *Client) Tags(ctx context.Context, repository image.Ref) ([]string, error) {
	var tags []string
	err := c.eachEndpoint(ctx, repository, func(s *session) error {
		tags = nil
		err := s.pages(ctx, "/v2/"+repository.Path+"/tags/list", func(page []byte) error {
			var doc struct{ Tags []string }
			if err := json.Unmarshal(page, &doc); err != nil {
				return fail(ErrServer, "registry %s sends a list of tags we cannot read", s.end.host).because(err)
			}
			tags = append(tags, doc.Tags...)
			return tooMany(s.end, len(tags))
		})
		return tagsError(s.end, repository, err)
	})
	return tags, err
}

func tagsError(e endpoint, repository image.Ref, err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return fail(ErrNotFound, "repository %s not found: %s", repository.FamiliarName(), answerText(answer))
	}
	return manifestError(e, repository, err)
}

func tooMany(e endpoint, n int) error {
	if n > maxEntries {
		return fail(ErrTooLarge, "registry %s lists more than %d entries", e.host, maxEntries)
	}
	return nil
}

// pages gets a list, page by page, as far as the Link headers go (distribution specification, "Listing Tags"). Links stay on the
// registry.
func (s *session) pages(ctx context.Context, path string, each func([]byte) error) error {
	u := &url.URL{Scheme: s.guard.wire.scheme, Host: s.end.host, Path: path, RawQuery: "n=1000"}
	for seen := map[string]bool{}; u != nil && !seen[u.String()]; {
		seen[u.String()] = true
		page, header, err := s.getDocument(ctx, u, maxPageBytes)
		if err != nil {
			return err
		}
		if err := each(page); err != nil {
			return err
		}
		if u, err = s.nextPage(u, header.Get("Link")); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) nextPage(at *url.URL, link string) (*url.URL, error) {
	target, params, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !ok || !strings.Contains(params, "next") {
		return nil, nil //nolint:nilnil // the last page
	}
	next, err := at.Parse(target)
	if err != nil || !s.guard.isRegistry(next) {
		return nil, fail(ErrUnsafe, "registry %s continues its list elsewhere: %q", s.end.host, foreign(target))
	}
	next.Scheme = at.Scheme // behind a proxy that ends TLS, registries often name the wrong one
	return next, nil
}

// getDocument is a small GET with retries.
func (s *session) getDocument(ctx context.Context, u *url.URL, limit int64) (body []byte, header http.Header, err error) {
	err = s.client.retry(ctx, func() error {
		body, header, err = getOnce(withBodyLimit(ctx, limit), s.http(), u)
		return err
	})
	return body, header, err
}

func getOnce(ctx context.Context, client *http.Client, u *url.URL) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(resp.Body) // the guard limits it
	return body, resp.Header, err
}

// catalog lists the repositories of a registry that contain term.
func (s *session) catalog(ctx context.Context, term string, limit int) ([]string, error) {
	var found []string
	seen := 0
	err := s.pages(ctx, "/v2/_catalog", func(page []byte) error {
		var doc struct{ Repositories []string }
		if err := json.Unmarshal(page, &doc); err != nil {
			return fail(ErrServer, "registry %s sends a catalog we cannot read", s.end.host).because(err)
		}
		seen += len(doc.Repositories)
		for _, name := range doc.Repositories {
			if strings.Contains(name, term) && !slices.Contains(found, name) && len(found) < limit {
				found = append(found, name)
			}
		}
		return tooMany(s.end, seen)
	})
	return found, err
}
