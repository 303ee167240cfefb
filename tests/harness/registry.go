package harness

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Registry is a registry on loopback that speaks plain HTTP.
type Registry struct{ Host string }

// ServeRegistry starts a registry inside the test process. wrap may be nil; else it stands before the registry and can count,
// delay or spoil what is asked.
func ServeRegistry(t testing.TB, wrap func(http.Handler) http.Handler) Registry {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return Registry{Host: strings.TrimPrefix(server.URL, "http://")}
}

// DebianRegistry starts Debian's docker-registry, somebody else's code than what moss pulls with.
func DebianRegistry(t testing.TB) Registry {
	t.Helper()
	RequirePackages(t, "docker-registry")
	dir, host := t.TempDir(), freePort(t)
	config := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", dir, host)
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker-registry", "serve", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	Eventually(t, Patience, "docker-registry answers", func() bool {
		c, err := net.DialTimeout("tcp", host, time.Second)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	return Registry{Host: host}
}

// freePort returns a loopback address that was free a moment ago.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Push stores img as repository:tag and returns the reference to pull it by.
func (r Registry) Push(t testing.TB, repositoryTag string, img Image) string {
	t.Helper()
	ref, err := name.ParseReference(r.Host + "/" + repositoryTag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	return ref.Name()
}
