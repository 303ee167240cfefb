package registry

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/moss-sandbox/moss/image/registry/registrytest"
)

// connectProxy is an HTTP proxy that takes every CONNECT to the same place and counts them by name.
func connectProxy(t *testing.T, to string) (proxy *url.URL, asked func() []string) {
	t.Helper()
	names := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names <- r.Host
		up, err := net.Dial("tcp", to)
		if err != nil || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		down, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(up, down)
			_ = up.Close()
		}()
		_, _ = io.Copy(down, up)
		_ = down.Close()
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u, func() (list []string) {
		for len(names) > 0 {
			list = append(list, <-names)
		}
		return list
	}
}

// TestProxy pulls through a proxy that lives on loopback, which a registry in the Internet could not name.
func TestProxy(t *testing.T) {
	for _, to := range []string{"", "https://cdn.example/x", "https://169.254.169.254/x", "https://localhost/x"} {
		opts := registrytest.Options{}
		if to != "" {
			opts.Fault = registrytest.Blobs(10_000, registrytest.Redirect(to))
		}
		s := newScene(t, opts)
		proxy, asked := connectProxy(t, s.registry.Host)
		s.config.Proxy = func(*http.Request) (*url.URL, error) { return proxy, nil }
		c := newClient(t, s.config) // without the scene's names: only the proxy knows them
		_, err := pull(t, c, registryName+"/app", PullOptions{}, newSink(), Silent{})
		names := asked()
		switch to {
		case "":
			if err != nil || len(names) == 0 || names[0] != registryName+":443" {
				t.Errorf("proxy was asked for %v: %v", names, err)
			}
		case "https://cdn.example/x": // leads back to the registry, which knows no such path: the name reached the proxy, that is the point
			wantKind(t, err, ErrNotFound)
			if names[len(names)-1] != "cdn.example:443" {
				t.Errorf("proxy was asked for %v", names)
			}
		default:
			wantKind(t, err, ErrUnsafe)
			for _, name := range names {
				if name != registryName+":443" {
					t.Errorf("proxy was asked for %s", name)
				}
			}
		}
	}
}

func TestGivenLoginGoesBeforeTheStoredOne(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{User: "u", Password: "p"})
	server.Put(t, "app", "latest", registrytest.NewImage(t, 1, 10))
	dir := t.TempDir()
	if _, err := (&Credentials{dir: dir}).Put(t.Context(), server.Host, Login{Username: "u", Password: "p"}); err != nil {
		t.Fatal(err)
	}
	given := &Login{Username: "u", Password: "other"}
	_, err := pull(t, newClient(t, Config{DockerConfig: dir, Login: given}), server.Host+"/app", PullOptions{}, newSink(), Silent{})
	wantKind(t, err, ErrDenied)
	given.Password = "p"
	if _, err := pull(t, newClient(t, Config{Login: given}), server.Host+"/app", PullOptions{}, newSink(), Silent{}); err != nil {
		t.Error(err)
	}
}
