package course

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// hub stands for Docker Hub: everybody may pull, and push who has logged in.
type hub struct{ harness.Registry }

const (
	dockerID = "dockerashu"
	password = "correct horse"
)

// openHub serves the course's images from Debian's docker-registry behind Docker Hub's manners.
func openHub(t *testing.T) *hub {
	t.Helper()
	behind := harness.DebianRegistry(t)
	for name, img := range map[string]harness.Image{
		"library/ubuntu:latest": harness.UbuntuImage(t), "library/alpine:latest": harness.BusyboxImage(t),
		"library/centos:latest": harness.BusyboxImage(t), "distroless/python3:latest": harness.PythonImage(t),
	} {
		behind.Push(t, name, img)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: behind.Host})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, pass, _ := r.BasicAuth()
		free := (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.URL.Path != "/v2/"
		if !free && (name != dockerID || pass != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="hub"`)
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
			return
		}
		r.Header.Del("Authorization")
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return &hub{harness.Registry{Host: strings.TrimPrefix(server.URL, "http://")}}
}

// wheel is a package of one file.
var wheel = [][2]string{
	{"greeting.py", "TEXT = 'hello from a wheel'\n"},
	{"greeting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n"},
	{"greeting-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: moss\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
	{"greeting-1.0.dist-info/RECORD", "greeting.py,,\ngreeting-1.0.dist-info/METADATA,,\ngreeting-1.0.dist-info/WHEEL,,\ngreeting-1.0.dist-info/RECORD,,\n"},
}

// packageIndex serves one wheel as a package index and returns the port. It listens on all addresses, since a container's way to
// its machine, host.docker.internal, does not lead to the loopback.
func packageIndex(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range wheel {
		w, err := z.Create(f[0])
		must(t, err)
		_, err = io.WriteString(w, f[1])
		must(t, err)
	}
	must(t, z.Close())
	const name = "greeting-1.0-py3-none-any.whl"
	mux := http.NewServeMux()
	mux.HandleFunc("/simple/greeting/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<!DOCTYPE html><html><body><a href=\"/%s\">%s</a></body></html>", name, name)
	})
	mux.HandleFunc("/"+name, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b.Bytes()) })
	listener, err := net.Listen("tcp4", ":0")
	must(t, err)
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must(t, err)
	return port
}
