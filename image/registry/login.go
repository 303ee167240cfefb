package registry

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// CheckLogin asks a registry whether it knows the user, token server included, and stores nothing. ErrDenied if it does not.
func (c *Client) CheckLogin(ctx context.Context, registry string, l Login) error {
	e, err := c.upstream(ctx, registry)
	if err != nil {
		return err
	}
	s, err := c.open(ctx, e, "", l.authenticator())
	if err == nil {
		err = s.checkBase(ctx)
	}
	return loginError(e, err)
}

// Login checks the login and then stores it in Docker's config.json or the helper configured there.
func (c *Client) Login(ctx context.Context, registry string, l Login) (Stored, error) {
	if err := c.CheckLogin(ctx, registry, l); err != nil {
		return Stored{}, err
	}
	return c.Credentials().Put(ctx, registry, l)
}

// Logout forgets the login for a registry; false if there was none.
func (c *Client) Logout(ctx context.Context, registry string) (bool, error) {
	return c.Credentials().Erase(ctx, registry)
}

// checkBase is GET /v2/, which a registry answers with 200 to those it knows.
func (s *session) checkBase(ctx context.Context) error {
	u := url.URL{Scheme: s.guard.wire.scheme, Host: s.end.host, Path: "/v2/"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := s.http().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	return transport.CheckError(resp, http.StatusOK)
}

// loginError tells a wrong password from everything else.
func loginError(e endpoint, err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		text := "unauthorized: incorrect username or password"
		if len(answer.Errors) > 0 {
			text = answerText(answer)
		}
		return fail(ErrDenied, "logging in to %s: %s", e.registry, text).
			hint("with two-factor authentication, registries take an access token in place of the password (%s)", tokenPage(e.registry))
	}
	return explain(e, "logging in to "+e.registry, err)
}

func tokenPage(registry string) string {
	switch registry {
	case hubName:
		return "https://app.docker.com/settings/personal-access-tokens"
	case "ghcr.io":
		return "https://github.com/settings/tokens, scope read:packages"
	}
	return "see its account settings"
}
