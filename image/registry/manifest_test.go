package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry/registrytest"
)

// TestLyingManifests is row 26 of reliability.md part 2, at the registry: what can be read in two ways is refused, before any
// file name or request is made of it.
func TestLyingManifests(t *testing.T) {
	im := registrytest.NewImage(t, 1, 100)
	manifest, index := string(im.Manifest), string(registrytest.Index(t, im.Descriptor("linux/amd64")))
	hex := strings.Repeat("a", 64)
	withLayer := func(digest string, size int) string {
		return fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":%q,"digest":"sha256:%s","size":1},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
			image.TypeOCIConfig, hex, image.TypeOCILayer, digest, size)
	}
	cases := []struct {
		name, kind, body string
		want             error
	}{
		{"control", image.TypeOCIManifest, manifest, nil},
		{"manifest called index", image.TypeOCIIndex, manifest, image.ErrManifest},
		{"index called manifest", image.TypeOCIManifest, index, image.ErrManifest},
		{"index called docker's list", image.TypeDockerIndex, index, image.ErrManifest},
		{"both layers and manifests", image.TypeOCIManifest, `{"manifests":[],` + manifest[1:], image.ErrManifest},
		{"both, other case", image.TypeOCIManifest, `{"Manifests":[],` + manifest[1:], image.ErrManifest},
		{"neither", image.TypeOCIManifest, `{"schemaVersion":2}`, image.ErrManifest},
		{"schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1,"fsLayers":[]}`, image.ErrSchema1},
		{"schema 1 called 2", image.TypeDockerManifest, `{"schemaVersion":1,"fsLayers":[]}`, image.ErrSchema1},
		{"no JSON", image.TypeOCIManifest, "<html>", image.ErrManifest},
		{"layer with path", image.TypeOCIManifest, withLayer("sha256:../../../../etc/passwd", 1), image.ErrManifest},
		{"layer in upper case", image.TypeOCIManifest, withLayer("sha256:"+strings.Repeat("A", 64), 1), image.ErrManifest},
		{"layer too short", image.TypeOCIManifest, withLayer("sha256:abcd", 1), image.ErrManifest},
		{"layer by md5", image.TypeOCIManifest, withLayer("md5:"+hex[:32], 1), image.ErrManifest},
		{"layer of negative size", image.TypeOCIManifest, withLayer("sha256:"+hex, -1), image.ErrManifest},
		{"huge config", image.TypeOCIManifest, strings.Replace(withLayer("sha256:"+hex, 1), `"size":1}`, `"size":9000000}`, 1), image.ErrManifest},
		{"chart", image.TypeOCIManifest, strings.Replace(manifest, image.TypeOCIConfig, "application/vnd.cncf.helm.config.v1+json", 1), ErrNotImage},
		{"unknown layer type", image.TypeOCIManifest, strings.Replace(manifest, image.TypeOCILayer, "application/x-rar", 1), ErrNotImage},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			fault := registrytest.On(http.MethodGet, "/manifests/", registrytest.Document(tc.kind, []byte(tc.body)))
			server := registrytest.Start(t, registrytest.Options{Fault: fault})
			server.Put(t, "app", "latest", im)
			sink := newSink()
			_, err := pull(t, newClient(t, Config{}), server.Host+"/app", PullOptions{}, sink, Silent{})
			if tc.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantKind(t, err, tc.want)
			sink.empty(t)
			if n := server.Count("GET", "/blobs/"); n != 0 {
				t.Errorf("%d blobs were asked for", n)
			}
		})
	}
}

func TestHugeManifest(t *testing.T) {
	for _, size := range []int64{image.MaxManifestBytes - 1<<20, 1 << 30} {
		fault := registrytest.On(http.MethodGet, "/manifests/", registrytest.Endless(image.TypeOCIManifest, size))
		server := registrytest.Start(t, registrytest.Options{Fault: fault})
		_, err := pull(t, newClient(t, Config{}), server.Host+"/app", PullOptions{}, newSink(), Silent{})
		want := ErrTooLarge
		if size < image.MaxManifestBytes {
			want = image.ErrManifest // the control: small enough to be read, and then no JSON
		}
		wantKind(t, err, want)
	}
}

func TestHugeManifestWithALength(t *testing.T) {
	fault := registrytest.On(http.MethodGet, "/manifests/", registrytest.Status(200, "{}", "Content-Length: 1073741824"))
	server := registrytest.Start(t, registrytest.Options{Fault: fault})
	_, err := pull(t, newClient(t, Config{}), server.Host+"/app", PullOptions{}, newSink(), Silent{})
	wantKind(t, err, ErrTooLarge)
}

func TestManyValues(t *testing.T) {
	many := func(v string, n int) string { return strings.Repeat(v+",", n) + v }
	hex := strings.Repeat("a", 64)
	for _, body := range []string{
		`{"schemaVersion":2,"manifests":[` + many("{}", 1_000_000) + `]}`,
		`{"schemaVersion":2,"config":{"digest":"sha256:` + hex + `","size":1},"layers":[` + many("{}", 1_000_000) + `]}`,
	} {
		fault := registrytest.On(http.MethodGet, "/manifests/", registrytest.Document(image.TypeOCIManifest, []byte(body)))
		server := registrytest.Start(t, registrytest.Options{Fault: fault})
		_, err := pull(t, newClient(t, Config{}), server.Host+"/app", PullOptions{}, newSink(), Silent{})
		wantKind(t, err, ErrTooLarge)
	}
	im := registrytest.NewImage(t, 1)
	config := []byte(`{"os":"linux","config":{"Env":[` + many(`""`, 1_000_000) + `]},"rootfs":{"type":"layers"}}`)
	m := image.Manifest{SchemaVersion: 2, MediaType: image.TypeOCIManifest, Layers: []image.Descriptor{},
		Config: image.Descriptor{MediaType: image.TypeOCIConfig, Digest: image.SumBytes(config), Size: int64(len(config))}}
	im.Manifest, im.Blobs[image.SumBytes(config)] = registrytest.Encode(t, m), config
	server := registrytest.Start(t, registrytest.Options{})
	server.Put(t, "app", "latest", im)
	_, err := pull(t, newClient(t, Config{}), server.Host+"/app", PullOptions{}, newSink(), Silent{})
	wantKind(t, err, ErrTooLarge)
}

func TestConfigThatDisagrees(t *testing.T) {
	im := registrytest.NewImage(t, 1, 100, 100)
	config := []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + string(im.Layers[0].DiffID) + `"]}}`)
	old := image.SumBytes(im.Config)
	im.Manifest = []byte(strings.Replace(strings.Replace(string(im.Manifest), string(old), string(image.SumBytes(config)), 1),
		fmt.Sprintf(`"size":%d`, len(im.Config)), fmt.Sprintf(`"size":%d`, len(config)), 1))
	im.Blobs[image.SumBytes(config)] = config
	server := registrytest.Start(t, registrytest.Options{})
	server.Put(t, "app", "latest", im)
	sink := newSink()
	_, err := pull(t, newClient(t, Config{}), server.Host+"/app", PullOptions{}, sink, Silent{})
	wantKind(t, err, image.ErrConfig)
	sink.empty(t)
}

// TestIndexEntryLies has an index whose entry and manifest differ.
func TestIndexEntryLies(t *testing.T) {
	im := registrytest.NewImage(t, 1, 100)
	nested := registrytest.Index(t, im.Descriptor("linux/amd64"))
	host := image.HostPlatform().String()
	cases := []struct {
		name   string
		change func(*image.Descriptor)
		want   error
	}{
		{"control", func(*image.Descriptor) {}, nil},
		{"size", func(d *image.Descriptor) { d.Size++ }, ErrSize},
		{"huge", func(d *image.Descriptor) { d.Size = 1 << 40 }, ErrTooLarge},
		{"type", func(d *image.Descriptor) { d.MediaType = image.TypeDockerManifest }, image.ErrManifest},
		{"index in index", func(d *image.Descriptor) {
			d.Digest, d.Size, d.MediaType = image.SumBytes(nested), int64(len(nested)), image.TypeOCIIndex
		}, image.ErrManifest},
		{"digest with path", func(d *image.Descriptor) { d.Digest = "sha256:../../x" }, image.ErrManifest},
		{"unknown digest", func(d *image.Descriptor) { d.Digest = image.SumBytes([]byte("nobody")) }, ErrNotFound},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			server := registrytest.Start(t, registrytest.Options{})
			server.Put(t, "app", string(im.Digest()), im)
			server.PutManifest(t, "app", string(image.SumBytes(nested)), image.TypeOCIIndex, nested)
			d := im.Descriptor(host)
			tc.change(&d)
			index := registrytest.Index(t, d)
			server2 := registrytest.Start(t, registrytest.Options{Fault: func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/manifests/latest") {
						registrytest.Document(image.TypeOCIIndex, index)(nil).ServeHTTP(w, r)
						return
					}
					server.ServeHTTP(w, r)
				})
			}})
			_, err := pull(t, newClient(t, Config{}), server2.Host+"/app", PullOptions{}, newSink(), Silent{})
			if tc.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantKind(t, err, tc.want)
		})
	}
}

func TestManifestByDigestMustHashToIt(t *testing.T) {
	im, other := registrytest.NewImage(t, 1, 100), registrytest.NewImage(t, 2, 100)
	fault := registrytest.On(http.MethodGet, "/manifests/", registrytest.Document(image.TypeOCIManifest, other.Manifest))
	server := registrytest.Start(t, registrytest.Options{Fault: fault})
	server.Put(t, "app", "latest", other)
	_, err := pull(t, newClient(t, Config{}), server.Host+"/app@"+string(im.Digest()), PullOptions{}, newSink(), Silent{})
	wantKind(t, err, ErrDigest)
	if _, err := pull(t, newClient(t, Config{}), server.Host+"/app@"+string(other.Digest()), PullOptions{}, newSink(), Silent{}); err != nil {
		t.Errorf("control: %v", err)
	}
}

// FuzzManifest reads what a registry may send as the manifest of a tag. Nothing may panic; what is accepted must be unambiguous.
func FuzzManifest(f *testing.F) {
	hex := strings.Repeat("a", 64)
	f.Add(image.TypeOCIManifest, `{"schemaVersion":2,"config":{"digest":"sha256:`+hex+`","size":1},"layers":[]}`)
	f.Add(image.TypeOCIIndex, `{"schemaVersion":2,"manifests":[{"digest":"sha256:`+hex+`","size":1,"platform":{"os":"linux","architecture":"amd64"}}]}`)
	f.Add("", `{"schemaVersion":1,"fsLayers":[]}`)
	f.Add("text/plain", `{"schemaVersion":2,"layers":[],"manifests":[]}`)
	name, err := image.ParseRef("app")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind, body string) {
		isIndex, err := image.Kind([]byte(body), kind)
		if err != nil {
			_ = badManifest(name, err).Error()
			return
		}
		if isIndex {
			if _, err := image.ParseManifest([]byte(body), kind); err == nil {
				t.Fatal("read as an index and as an image")
			}
			return
		}
		m, err := image.ParseManifest([]byte(body), kind)
		if err != nil || checkTypes(name, m) != nil {
			return
		}
		for _, l := range append([]image.Descriptor{m.Config}, m.Layers...) {
			if !l.Digest.Valid() || l.Size < 0 {
				t.Fatalf("accepted %+v", l)
			}
		}
	})
}
