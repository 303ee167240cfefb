package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry/registrytest"
)

// memSource is an image to push.
type memSource struct {
	im      *registrytest.Image
	origins map[image.Digest][]string
	mu      sync.Mutex
	landed  map[image.Digest]string
	opened  int
}

var _ Source = (*memSource)(nil)

func newSource(im *registrytest.Image) *memSource {
	return &memSource{im: im, origins: map[image.Digest][]string{}, landed: map[image.Digest]string{}}
}

func (s *memSource) Open(_ context.Context, d image.Digest) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	b, ok := s.im.Blobs[d]
	if !ok {
		return nil, errNoBlob
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

var errNoBlob = errors.New("no such blob in the store")

func (s *memSource) Origins(d image.Digest) []string { return s.origins[d] }

func (s *memSource) Landed(repository string, d image.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.landed[d] = repository
}

func pushImage(t *testing.T, c *Client, name string, source *memSource, p Progress) ([]PushedTag, error) {
	t.Helper()
	r := ref(t, name)
	im := source.im
	return c.Push(t.Context(), r, []Upload{{Tag: r.Tag, Manifest: im.Manifest, MediaType: im.MediaType, Config: im.Config, Layers: im.Layers}}, source, p)
}

func TestPushSendsWhatIsStored(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	im := registrytest.NewImage(t, 1, 3000, 400_000, 10)
	c, source, log := newClient(t, Config{}), newSource(im), &eventLog{}
	name := server.Host + "/team/app:v2"
	tags, err := pushImage(t, c, name, source, log)
	if err != nil {
		t.Fatal(err)
	}
	want := PushedTag{Tag: "v2", Digest: im.Digest(), Size: len(im.Manifest)}
	if len(tags) != 1 || tags[0] != want {
		t.Errorf("pushed %v, want %v", tags, want)
	}
	sink := newSink()
	if _, err := pull(t, c, name, PullOptions{}, sink, Silent{}); err != nil {
		t.Fatal(err)
	}
	sink.holds(t, name, im)
	for i, l := range im.Layers {
		if got := log.phases(l.DiffID.Short()); !slices.Equal(got, []Phase{PhasePreparing, PhasePushing, PhasePushed}) {
			t.Errorf("layer %d: %v", i, got)
		}
		if source.landed[l.Digest] != server.Host+"/team/app" {
			t.Errorf("layer %d landed in %q", i, source.landed[l.Digest])
		}
	}
	if log.events[0].ID != im.Layers[2].DiffID.Short() {
		t.Error("the top layer is not the first to be told")
	}
	if !log.has(Event{ID: "v2", Phase: PhasePushedTag, Detail: string(im.Digest()), Total: int64(len(im.Manifest))}) {
		t.Error("no event with the digest")
	}
}

func TestPushOfWhatIsThere(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	im := registrytest.NewImage(t, 1, 3000, 4000)
	server.Put(t, "team/app", "v1", im)
	source, log := newSource(im), &eventLog{}
	source.origins[im.Layers[1].Digest] = []string{server.Host + "/other"}
	if _, err := pushImage(t, newClient(t, Config{}), server.Host+"/team/app:v2", source, log); err != nil {
		t.Fatal(err)
	}
	for _, l := range im.Layers {
		if got := log.phases(l.DiffID.Short()); !slices.Contains(got, PhaseAlreadyThere) {
			t.Errorf("phases %v", got)
		}
	}
	if source.opened != 0 || !server.Has("team/app", "manifests/v2") {
		t.Errorf("%d blobs were opened", source.opened)
	}
}

// mounting makes go-containerregistry's registry, which has one pool of blobs, behave as repositories do: a blob is in a repository
// after it was put or mounted there.
func mounting(t *testing.T, there map[string]bool, allow bool) registrytest.Fault {
	t.Helper()
	var mu sync.Mutex
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			repository, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/")
			q := r.URL.Query()
			switch {
			case r.Method == http.MethodHead && what != "" && !there[repository+"@"+what]:
				w.WriteHeader(http.StatusNotFound)
			case r.Method == http.MethodPost && q.Get("mount") != "" && allow && there[q.Get("from")+"@"+q.Get("mount")]:
				there[repository+"@"+q.Get("mount")] = true
				w.WriteHeader(http.StatusCreated)
			default:
				r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "mount=", "x=")
				next.ServeHTTP(w, r)
			}
		})
	}
}

func TestPushMountsFromWhereLayersCameFrom(t *testing.T) {
	im := registrytest.NewImage(t, 1, 3000, 4000)
	base, own := im.Layers[0], im.Layers[1]
	for _, allow := range []bool{true, false} {
		there := map[string]bool{"library/ubuntu@" + string(base.Digest): true}
		server := registrytest.Start(t, registrytest.Options{Fault: mounting(t, there, allow), User: "u", Password: "p", Token: true})
		config := Config{DockerIO: server.Host, DockerConfig: t.TempDir()}
		c, source, log := newClient(t, config), newSource(im), &eventLog{}
		if _, err := c.Credentials().Put(t.Context(), "docker.io", Login{Username: "u", Password: "p"}); err != nil {
			t.Fatal(err)
		}
		source.origins[base.Digest] = []string{"quay.io/elsewhere", "docker.io/team/app", "docker.io/library/ubuntu"}
		if _, err := pushImage(t, c, "team/app:v1", source, log); err != nil {
			t.Fatal(err)
		}
		mounted := log.has(Event{ID: base.DiffID.Short(), Phase: PhaseMounted, Detail: "library/ubuntu"})
		if mounted != allow {
			t.Errorf("registry allows mounts: %v, mounted: %v (%v)", allow, mounted, log.phases(base.DiffID.Short()))
		}
		if got := log.phases(own.DiffID.Short()); !slices.Contains(got, PhasePushed) {
			t.Errorf("own layer: %v", got)
		}
		scopes := ""
		for _, r := range server.Requests() {
			if r.Path == "/token" {
				scopes = r.Query
			}
		}
		if !strings.Contains(scopes, "team%2Fapp%3Apull%2Cpush") || !strings.Contains(scopes, "library%2Fubuntu%3Apull") {
			t.Errorf("token was asked for with %q", scopes)
		}
	}
}

func TestPushSkipsForeignLayers(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	im := registrytest.NewImage(t, 1, 3000, 4000)
	im.Layers[0].MediaType = image.TypeDockerForeign
	log := &eventLog{}
	if _, err := pushImage(t, newClient(t, Config{}), server.Host+"/app", newSource(im), log); err != nil {
		t.Fatal(err)
	}
	if !log.has(Event{ID: im.Layers[0].DiffID.Short(), Phase: PhaseSkippedLayer}) || server.Has("app", "blobs/"+string(im.Layers[0].Digest)) {
		t.Error("the foreign layer was pushed")
	}
}

func TestPushFaults(t *testing.T) {
	type fault = registrytest.Fault
	on := func(method, part string, f fault) fault { return registrytest.On(method, part, f) }
	denied := registrytest.Status(401, `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`)
	cases := []struct {
		name  string
		fault fault
		want  error
	}{
		{"none", nil, nil},
		{"upload 503 once", on("PATCH", "/uploads/", registrytest.Times(1, registrytest.Status(503, ""))), nil},
		{"upload 500", on("PATCH", "/uploads/", registrytest.Status(500, "")), ErrServer},
		{"denied", on("POST", "/uploads/", denied), ErrDenied},
		{"manifest refused", on("PUT", "/manifests/", registrytest.Status(400, `{"errors":[{"code":"MANIFEST_INVALID","message":"no"}]}`)), ErrServer},
		{"rate limit", on("POST", "/uploads/", registrytest.Status(429, "", "Retry-After: 100")), ErrRateLimited},
		{"registry stops reading", on("PATCH", "/uploads/", func(http.Handler) http.Handler {
			// A server with an unread body does not notice that its client is gone: it must end by itself.
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(10 * hasty().Stall) })
		}), ErrStalled},
	}
	im := registrytest.NewImage(t, 1, 8_000_000) // more than socket buffers take
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			server := registrytest.Start(t, registrytest.Options{Fault: tc.fault})
			config := Config{Patience: quick}
			if errors.Is(tc.want, ErrStalled) {
				config.Patience = hasty()
			}
			tags, err := pushImage(t, newClient(t, config), server.Host+"/app", newSource(im), Silent{})
			if tc.want == nil {
				if err != nil || len(tags) != 1 {
					t.Errorf("pushed %v, %v", tags, err)
				}
				return
			}
			wantKind(t, err, tc.want)
			if server.Has("app", "manifests/latest") {
				t.Error("the tag was set")
			}
		})
	}
}

func TestPushReportsTheStoresError(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	im := registrytest.NewImage(t, 1, 3000)
	source := newSource(im)
	delete(im.Blobs, im.Layers[0].Digest)
	if _, err := pushImage(t, newClient(t, Config{}), server.Host+"/app", source, Silent{}); !errors.Is(err, errNoBlob) {
		t.Errorf("error %v, want the store's", err)
	}
}

func TestPushSeveralTags(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	im := registrytest.NewImage(t, 1, 3000)
	up := Upload{Manifest: im.Manifest, MediaType: im.MediaType, Config: im.Config, Layers: im.Layers}
	one, two := up, up
	one.Tag, two.Tag = "one", "two"
	tags, err := newClient(t, Config{}).Push(t.Context(), ref(t, server.Host+"/app"), []Upload{one, two}, newSource(im), Silent{})
	if err != nil || len(tags) != 2 || !server.Has("app", "manifests/one") || !server.Has("app", "manifests/two") {
		t.Errorf("pushed %v, %v", tags, err)
	}
}
