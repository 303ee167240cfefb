package registry

import (
	"net/http"
	"testing"

	"github.com/moss-sandbox/moss/image/registry/registrytest"
)

func TestLogin(t *testing.T) {
	right, wrong := Login{Username: "u", Password: "p"}, Login{Username: "u", Password: "guess"}
	for name, opts := range map[string]registrytest.Options{
		"basic": {User: "u", Password: "p"},
		"token": {User: "u", Password: "p", Token: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := registrytest.Start(t, opts)
			im := registrytest.NewImage(t, 1, 1000)
			server.Put(t, "app", "latest", im)
			c := newClient(t, Config{DockerConfig: t.TempDir()})

			_, err := c.Login(t.Context(), server.Host, wrong)
			wantKind(t, err, ErrDenied)
			wantHint(t, err)
			if !get(t, c.Credentials(), server.Host).Empty() {
				t.Error("a wrong password was stored")
			}
			_, err = pull(t, c, server.Host+"/app", PullOptions{}, newSink(), Silent{})
			wantKind(t, err, ErrDenied)

			stored, err := c.Login(t.Context(), server.Host, right)
			if err != nil || stored.Helper != "" || stored.File == "" {
				t.Fatalf("stored %+v, %v", stored, err)
			}
			sink := newSink()
			if _, err := pull(t, c, server.Host+"/app", PullOptions{}, sink, Silent{}); err != nil {
				t.Fatal(err)
			}
			sink.holds(t, server.Host+"/app:latest", im)
			if _, err := pushImage(t, c, server.Host+"/new", newSource(im), Silent{}); err != nil {
				t.Fatal(err)
			}

			had, err := c.Logout(t.Context(), server.Host)
			if !had || err != nil {
				t.Errorf("logout: %v, %v", had, err)
			}
			_, err = pushImage(t, c, server.Host+"/other", newSource(im), Silent{})
			wantKind(t, err, ErrDenied)
		})
	}
}

func TestLoginToHub(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{User: "u", Password: "p", Token: true})
	server.Put(t, "library/app", "latest", registrytest.NewImage(t, 1, 10))
	c := newClient(t, Config{DockerConfig: t.TempDir(), DockerIO: "http://" + server.Host})
	if _, err := c.Login(t.Context(), ServerName(""), Login{Username: "u", Password: "p"}); err != nil {
		t.Fatal(err)
	}
	if _, err := pull(t, c, "app", PullOptions{}, newSink(), Silent{}); err != nil {
		t.Error(err)
	}
	file, err := c.Credentials().read()
	if err != nil {
		t.Fatal(err)
	}
	if auths, err := file.auths(); err != nil || auths[hubKey] == nil {
		t.Errorf("no entry %q: %v", hubKey, auths)
	}
}

func TestMirrorDoesNotGetTheHubsPassword(t *testing.T) {
	mirror := registrytest.Start(t, registrytest.Options{User: "m", Password: "m"})
	hub := registrytest.Start(t, registrytest.Options{User: "u", Password: "p"})
	hub.Put(t, "library/app", "latest", registrytest.NewImage(t, 1, 10))
	c := newClient(t, Config{DockerConfig: t.TempDir(), DockerIO: hub.Host, Mirrors: []string{"http://" + mirror.Host}})
	if _, err := c.Login(t.Context(), "docker.io", Login{Username: "u", Password: "p"}); err != nil {
		t.Fatal(err)
	}
	if _, err := pull(t, c, "app", PullOptions{}, newSink(), Silent{}); err != nil {
		t.Fatal(err)
	}
	heard := false
	for _, r := range mirror.Requests() {
		heard = heard || r.Header.Get("Authorization") != ""
	}
	if heard || len(mirror.Requests()) == 0 {
		t.Errorf("mirror had %d requests, with credentials: %v", len(mirror.Requests()), heard)
	}
}

func TestLoginLoopsEnd(t *testing.T) {
	for _, challenge := range []string{`Basic realm="x"`, `Bearer realm="http://%/token"`, "Negotiate", `Bearer realm=`, ""} {
		server := registrytest.Start(t, registrytest.Options{Fault: registrytest.Status(http.StatusUnauthorized, "", "WWW-Authenticate: "+challenge)})
		c := newClient(t, Config{DockerConfig: t.TempDir()})
		if _, err := c.Login(t.Context(), server.Host, Login{Username: "u", Password: "p"}); err == nil {
			t.Errorf("challenge %q: logged in", challenge)
		}
		if n := len(server.Requests()); n > 10 {
			t.Errorf("challenge %q: %d requests", challenge, n)
		}
	}
}
