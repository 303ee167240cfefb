package registry

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry/registrytest"
)

// TestDockerRegistry goes through everything with Debian's docker-registry, with a password and TLS from an authority of the test.
func TestDockerRegistry(t *testing.T) {
	ca := registrytest.NewAuthority(t)
	host := registrytest.StartDocker(t, registrytest.DockerOptions{TLS: ca, Password: true})
	config := Config{CertDirs: []string{ca.CertsD(t, host)}, DockerConfig: t.TempDir()}
	c := newClient(t, config)
	im := registrytest.NewImage(t, 1, 100_000, 3000, 500)
	name := host + "/team/app:v1"

	_, err := pushImage(t, c, name, newSource(im), Silent{})
	wantKind(t, err, ErrDenied)
	_, err = c.Login(t.Context(), host, Login{Username: registrytest.User, Password: "wrong"})
	wantKind(t, err, ErrDenied)
	if _, err = c.Login(t.Context(), host, Login{Username: registrytest.User, Password: registrytest.Password}); err != nil {
		t.Fatal(err)
	}
	if _, err := pushImage(t, c, name, newSource(im), Silent{}); err != nil {
		t.Fatal(err)
	}
	sink := newSink()
	got, err := pull(t, c, name, PullOptions{}, sink, Silent{})
	if err != nil || got.Digest != im.Digest() {
		t.Fatalf("pulled %+v, %v", got, err)
	}
	sink.holds(t, name, im)

	t.Run("mount", func(t *testing.T) {
		source, log := newSource(im), &eventLog{}
		for _, l := range im.Layers {
			source.origins[l.Digest] = []string{host + "/team/app"}
		}
		if _, err := pushImage(t, c, host+"/team/copy:v1", source, log); err != nil {
			t.Fatal(err)
		}
		for _, l := range im.Layers {
			if !log.has(Event{ID: l.DiffID.Short(), Phase: PhaseMounted, Detail: "team/app"}) {
				t.Errorf("layer %s: %v", l.DiffID.Short(), log.phases(l.DiffID.Short()))
			}
		}
	})
	t.Run("tags", func(t *testing.T) {
		if tags, err := c.Tags(t.Context(), ref(t, name)); err != nil || !slices.Equal(tags, []string{"v1"}) {
			t.Errorf("tags %v, %v", tags, err)
		}
	})
	t.Run("search", func(t *testing.T) {
		found, err := c.Search(t.Context(), host+"/app", 0)
		if err != nil || len(found) != 1 || found[0].Name != host+"/team/app" {
			t.Errorf("found %v, %v", found, err)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		_, err := pull(t, c, host+"/nosuch", PullOptions{}, newSink(), Silent{})
		wantKind(t, err, ErrNotFound)
	})
	certs := filepath.Join(config.CertDirs[0], host)
	t.Run("skopeo reads what we pushed", func(t *testing.T) { skopeoReads(t, name, certs, im) })
	t.Run("we read what skopeo pushes", func(t *testing.T) { skopeoWrites(t, c, name, certs, im) })
}

// skopeo runs skopeo copy with the test's password and authority.
func skopeo(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("skopeo")
	if err != nil {
		registrytest.Missing(t, "skopeo is not installed")
	}
	cmd := exec.Command(program, append([]string{"--insecure-policy", "copy"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("skopeo %v: %v\n%s", args, err, out)
	}
}

// skopeoWrites has skopeo convert the image to what else the world keeps in registries.
func skopeoWrites(t *testing.T, c *Client, name, certs string, im *registrytest.Image) {
	t.Helper()
	creds := registrytest.User + ":" + registrytest.Password
	cases := []struct{ tag, format, compression, layerType string }{
		{"docker", "v2s2", "gzip", image.TypeDockerLayer},
		{"zstd", "oci", "zstd", image.TypeOCILayerZstd},
	}
	for _, tc := range cases {
		// By way of a directory and into another repository: blobs that are there already would not be converted.
		target, dir := strings.Replace(name, "/app:", "/"+tc.tag+":", 1), t.TempDir()
		skopeo(t, "--src-cert-dir", certs, "--src-creds", creds, "--format", tc.format, "--dest-compress", "--dest-compress-format", tc.compression,
			"docker://"+name, "dir:"+dir)
		skopeo(t, "--dest-cert-dir", certs, "--dest-creds", creds, "dir:"+dir, "docker://"+target)
		sink := newSink()
		if _, err := pull(t, c, target, PullOptions{}, sink, Silent{}); err != nil {
			t.Fatal(err)
		}
		got := sink.images[target]
		for i, l := range got.Layers {
			if l.MediaType != tc.layerType || l.DiffID != im.Layers[i].DiffID {
				t.Errorf("%s: layer %d is %s, %q", tc.tag, i, l.DiffID, l.MediaType)
			}
		}
	}
}

func skopeoReads(t *testing.T, name, certs string, im *registrytest.Image) {
	t.Helper()
	dir := t.TempDir()
	skopeo(t, "--src-cert-dir", certs, "--src-creds", registrytest.User+":"+registrytest.Password, "docker://"+name, "dir:"+dir)
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil || !bytes.Equal(manifest, im.Manifest) {
		t.Errorf("skopeo has another manifest: %s, %v", manifest, err)
	}
}

func TestCertificates(t *testing.T) {
	ca, stranger := registrytest.NewAuthority(t), registrytest.NewAuthority(t)
	im := registrytest.NewImage(t, 1, 10)
	n := internet{}
	start := func(name string, opts registrytest.Options) {
		opts.Names = []string{"named.example"}
		server := registrytest.Start(t, opts)
		server.Put(t, "app", "latest", im)
		n[name+":443"] = site{"203.0.113.1", server.Host}
	}
	start("named.example", registrytest.Options{TLS: ca})
	start("other.example", registrytest.Options{TLS: ca})
	certs := ca.CertsD(t, "named.example", "other.example")
	cases := []struct {
		name, host string
		config     Config
		want       error
	}{
		{"authority in certs.d", "named.example", Config{CertDirs: []string{certs}}, nil},
		{"second directory", "named.example", Config{CertDirs: []string{t.TempDir(), certs}}, nil},
		{"unknown authority", "named.example", Config{}, ErrTLS},
		{"other authority", "named.example", Config{CertDirs: []string{stranger.CertsD(t, "named.example")}}, ErrTLS},
		{"authority of another host", "named.example", Config{CertDirs: []string{ca.CertsD(t, "elsewhere.example")}}, ErrTLS},
		{"declared insecure", "named.example", Config{Insecure: []string{"named.example"}}, nil},
		{"certificate for another name", "other.example", Config{CertDirs: []string{certs}}, ErrTLS},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := pull(t, n.join(newClient(t, tc.config)), tc.host+"/app", PullOptions{}, newSink(), Silent{})
			if tc.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantKind(t, err, tc.want)
		})
	}
}

func TestClientCertificates(t *testing.T) {
	ca := registrytest.NewAuthority(t)
	inner := registrytest.Start(t, registrytest.Options{})
	inner.Put(t, "app", "latest", registrytest.NewImage(t, 1, 10))
	// A second server in front, which wants to know who is there.
	config := ca.ServerConfig(t, "named.example")
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, ca.Clients()
	server := registrytest.StartTLS(t, config, inner)
	n := internet{"named.example:443": {"203.0.113.1", server}}
	certs := ca.CertsD(t, "named.example")

	_, err := pull(t, n.join(newClient(t, Config{CertDirs: []string{certs}})), "named.example/app", PullOptions{}, newSink(), Silent{})
	if err == nil {
		t.Fatal("pulled without a client certificate")
	}
	ca.AddClient(t, certs, "named.example")
	if _, err := pull(t, n.join(newClient(t, Config{CertDirs: []string{certs}})), "named.example/app", PullOptions{}, newSink(), Silent{}); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(certs, "named.example", "client.key")); err != nil {
		t.Fatal(err)
	}
	_, err = pull(t, n.join(newClient(t, Config{CertDirs: []string{certs}})), "named.example/app", PullOptions{}, newSink(), Silent{})
	wantKind(t, err, ErrTLS)
	wantHint(t, err)
}

func TestSearchOfRegistriesThatOfferIt(t *testing.T) {
	fault := registrytest.On(http.MethodGet, "/v1/search", registrytest.Document("application/json", []byte(
		`{"num_results":2,"results":[{"name":"alpine","description":"A \u001b[31mminimal image","star_count":11000,"is_official":true},{"name":"team/alpine","star_count":1}]}`)))
	server := registrytest.Start(t, registrytest.Options{Fault: fault})
	c := newClient(t, Config{DockerIO: server.Host})
	found, err := c.Search(t.Context(), "alpine", 0)
	if err != nil || len(found) != 2 || !found[0].Official || found[0].Stars != 11000 || found[1].Name != "team/alpine" {
		t.Errorf("found %+v, %v", found, err)
	}
	for _, r := range server.Requests() {
		if r.Path == "/v1/search" && r.Query != "n=25&q=alpine" {
			t.Errorf("query %q", r.Query)
		}
	}
	if found, err = c.Search(t.Context(), "alpine", 1); err != nil || len(found) != 1 {
		t.Errorf("limit 1: %v, %v", found, err)
	}
	if _, err = c.Search(t.Context(), "alpine", 101); err == nil {
		t.Error("limit 101 is no error")
	}
}

func TestTagsOverSeveralPages(t *testing.T) {
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("last") {
		case "":
			w.Header().Set("Link", `</v2/app/tags/list?n=2&last=b>; rel="next"`)
			_, _ = w.Write([]byte(`{"tags":["a","b"]}`))
		default:
			_, _ = w.Write([]byte(`{"tags":["c"]}`))
		}
	})
	fault := registrytest.On(http.MethodGet, "/tags/list", func(http.Handler) http.Handler { return pages })
	server := registrytest.Start(t, registrytest.Options{Fault: fault})
	tags, err := newClient(t, Config{}).Tags(t.Context(), ref(t, server.Host+"/app"))
	if err != nil || !slices.Equal(tags, []string{"a", "b", "c"}) {
		t.Errorf("tags %v, %v", tags, err)
	}
	for _, link := range []string{`<http://169.254.169.254/x>; rel="next"`, `<//cdn.example/x>; rel="next"`} {
		fault := registrytest.On(http.MethodGet, "/tags/list", registrytest.Status(200, `{"tags":["a"]}`, "Link: "+link))
		server := registrytest.Start(t, registrytest.Options{Fault: fault})
		_, err := newClient(t, Config{}).Tags(t.Context(), ref(t, server.Host+"/app"))
		wantKind(t, err, ErrUnsafe)
	}
	loop := registrytest.On(http.MethodGet, "/tags/list", registrytest.Status(200, `{"tags":["a"]}`, `Link: </v2/app/tags/list?n=1000>; rel="next"`))
	server = registrytest.Start(t, registrytest.Options{Fault: loop})
	if tags, err := newClient(t, Config{}).Tags(t.Context(), ref(t, server.Host+"/app")); err != nil || len(tags) > 2 {
		t.Errorf("a list in a circle: %d tags, %v", len(tags), err)
	}
}

func TestManifestInspect(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	amd, arm := registrytest.NewImageFor(t, "linux/amd64", 1, 10), registrytest.NewImageFor(t, "linux/arm64", 2, 10)
	server.Put(t, "app", string(amd.Digest()), amd)
	server.Put(t, "app", string(arm.Digest()), arm)
	index := registrytest.Index(t, amd.Descriptor("linux/amd64"), arm.Descriptor("linux/arm64"))
	server.PutManifest(t, "app", "latest", image.TypeOCIIndex, index)
	c := newClient(t, Config{})
	got, err := c.ManifestInspect(t.Context(), ref(t, server.Host+"/app"), InspectOptions{Children: true})
	if err != nil || !bytes.Equal(got.Bytes, index) || !got.Index || len(got.Children) != 2 {
		t.Fatalf("inspected %+v, %v", got, err)
	}
	if d := got.Children[1].Descriptor; d.Digest != arm.Digest() || d.Platform.Architecture != "arm64" || !json.Valid(got.Children[1].Bytes) {
		t.Errorf("child %+v", d)
	}
	if got, err = c.ManifestInspect(t.Context(), ref(t, server.Host+"/app@"+string(amd.Digest())), InspectOptions{Children: true}); err != nil || got.Index || got.Children != nil {
		t.Errorf("inspected %+v, %v", got, err)
	}
}
