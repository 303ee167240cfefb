package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Login is what a registry knows a user by: a name with a password, or an identity token.
type Login struct {
	Username      string
	Password      string
	IdentityToken string // instead of a password, from registries that give one
	RegistryToken string // a ready bearer token; never stored by us
}

// Empty tells whether there is nothing to log in with.
func (l Login) Empty() bool { return l == Login{} }

// Stored says where a password went.
type Stored struct {
	Helper string // docker-credential-Helper keeps it; "" if it is in File, readable for whoever reads File
	File   string
}

// Credentials is Docker's own store: config.json and the helper programs it names. A login made by Docker is found, one made by
// us is found by Docker.
type Credentials struct{ dir string }

// ServerName reduces what people give to login (https://reg.example/v1/, index.docker.io, nothing) to a registry's name as in
// references: reg.example, docker.io.
func ServerName(s string) string { return canonicalRegistry(hostOfKey(s)) }

// ServerAddress is the key of a registry in config.json, which logout prints: https://index.docker.io/v1/ for Docker Hub.
func ServerAddress(registry string) string {
	if registry = canonicalRegistry(registry); registry == hubName {
		return hubKey
	}
	return registry
}

// Get finds the login for a registry; an empty Login if there is none.
func (s *Credentials) Get(ctx context.Context, registry string) (Login, error) {
	file, err := s.read()
	if err != nil {
		return Login{}, err
	}
	if name := file.helperFor(registry); name != "" {
		l, err := helper(name).get(ctx, ServerAddress(registry))
		if err != nil || !l.Empty() {
			return l, err
		}
	}
	return file.login(registry)
}

// Put stores a login: with the helper if one is configured, and then nowhere else, even if the helper fails.
func (s *Credentials) Put(ctx context.Context, registry string, l Login) (Stored, error) {
	var stored Stored
	err := s.edit(func(file configFile) error {
		stored = Stored{Helper: file.helperFor(registry), File: s.path()}
		if stored.Helper == "" {
			return file.setLogin(registry, l)
		}
		if err := helper(stored.Helper).store(ctx, ServerAddress(registry), l); err != nil {
			return err
		}
		return file.setLogin(registry, Login{}) // Docker's marker: known, kept elsewhere
	})
	return stored, err
}

// Erase forgets a login everywhere; false if there was none.
func (s *Credentials) Erase(ctx context.Context, registry string) (bool, error) {
	file, err := s.read()
	if err != nil || !file.mentions(registry) && file.helperFor(registry) == "" {
		return false, err
	}
	found := false
	err = s.edit(func(file configFile) error {
		if found, err = file.removeLogin(registry); err != nil {
			return err
		}
		if name := file.helperFor(registry); name != "" {
			had, err := helper(name).erase(ctx, ServerAddress(registry))
			found = found || had
			return err
		}
		return nil
	})
	return found, err
}

// authenticator is the login for an endpoint in go-containerregistry's form. A mirror gets what is stored for its own name, never
// what is stored for the registry it mirrors. On error it is anonymous.
func (c *Client) authenticator(ctx context.Context, e endpoint) (authn.Authenticator, error) {
	if c.config.Login != nil && !e.mirror {
		return c.config.Login.authenticator(), nil
	}
	if c.config.DockerConfig == "" {
		return authn.Anonymous, nil
	}
	registry := e.registry
	if e.mirror {
		registry = e.host
	}
	l, err := c.Credentials().Get(ctx, registry)
	if err != nil || l.Empty() {
		return authn.Anonymous, err
	}
	return l.authenticator(), nil
}

func (l Login) authenticator() authn.Authenticator {
	if l.Empty() {
		return authn.Anonymous
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: l.Username, Password: l.Password, IdentityToken: l.IdentityToken, RegistryToken: l.RegistryToken,
	})
}

// authEntry is one entry of auths.
type authEntry struct {
	Auth          string `json:"auth,omitempty"` // base64 of user:password
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
	RegistryToken string `json:"registrytoken,omitempty"`
}

func (a authEntry) login() (Login, error) {
	l := Login{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
	if a.Auth == "" {
		return l, nil
	}
	b, err := base64.StdEncoding.DecodeString(a.Auth)
	if err != nil {
		b, err = base64.RawStdEncoding.DecodeString(a.Auth)
	}
	user, password, ok := strings.Cut(string(b), ":")
	if err != nil || !ok {
		return Login{}, fail(ErrCredentials, "entry %q in config.json is not base64 of user:password", "auth")
	}
	l.Username, l.Password = user, strings.TrimRight(password, "\x00") // as Docker does
	if l.IdentityToken != "" {
		l.Password = ""
	}
	return l, nil
}

func entryFor(l Login) authEntry {
	if l.Empty() {
		return authEntry{}
	}
	return authEntry{Auth: base64.StdEncoding.EncodeToString([]byte(l.Username + ":" + l.Password)), IdentityToken: l.IdentityToken}
}

// hostOfKey reduces a key of auths to host[:port]: keys have been URLs, with and without path.
func hostOfKey(key string) string {
	key = strings.TrimSpace(key)
	if strings.Contains(key, "://") {
		if u, err := url.Parse(key); err == nil {
			return u.Host
		}
	}
	host, _, _ := strings.Cut(key, "/")
	return host
}

// encode is json.Marshal for values that cannot fail.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("internal error: encoding " + err.Error())
	}
	return b
}
