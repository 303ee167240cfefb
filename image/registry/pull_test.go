package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry/registrytest"
)

func pull(t *testing.T, c *Client, name string, opts PullOptions, sink Sink, p Progress) (Pulled, error) {
	t.Helper()
	all, err := c.Pull(context.Background(), ref(t, name), opts, sink, p)
	if err != nil {
		return Pulled{}, err
	}
	if len(all) != 1 {
		t.Fatalf("pulled %d images, want 1", len(all))
	}
	return all[0], nil
}

func TestPullBringsEveryByte(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	im := registrytest.NewImage(t, 1, 300_000, 10, 200_000, 5_000, 100_000)
	server.Put(t, "team/app", "v1", im)
	c, sink, log := newClient(t, Config{}), newSink(), &eventLog{}
	name := server.Host + "/team/app:v1"

	got, err := pull(t, c, name, PullOptions{}, sink, log)
	if err != nil {
		t.Fatal(err)
	}
	sink.holds(t, name, im)
	if got.Digest != im.Digest() || !got.Newer || got.Status() != "Downloaded newer image for "+name {
		t.Errorf("pulled %+v, %q", got, got.Status())
	}
	if src := sink.images[name].Source; src != server.Host+"/team/app" {
		t.Errorf("source %q", src)
	}
	want := []Phase{PhasePulling, PhaseDownloading, PhaseVerifying, PhaseDownloaded, PhaseExtracting, PhasePulled}
	if got := log.phases(im.Layers[0].Digest.Short()); !slices.Equal(got, want) {
		t.Errorf("phases %v, want %v", got, want)
	}
	if got := log.phases(im.Layers[4].Digest.Short()); !slices.Contains(got, PhaseWaiting) {
		t.Errorf("the fifth layer does not wait: %v", got)
	}
	if !log.has(Event{ID: "v1", Phase: PhasePullingFrom, Detail: "team/app"}) {
		t.Error("no line with the repository")
	}
}

func TestPullAgainFetchesNoLayer(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	im := registrytest.NewImage(t, 1, 1000, 2000)
	server.Put(t, "app", "latest", im)
	c, sink, log := newClient(t, Config{}), newSink(), &eventLog{}
	name := server.Host + "/app"
	for range 2 {
		if _, err := pull(t, c, name, PullOptions{}, sink, Silent{}); err != nil {
			t.Fatal(err)
		}
	}
	server.Forget()
	got, err := pull(t, c, name, PullOptions{}, sink, log)
	if err != nil {
		t.Fatal(err)
	}
	if got.Newer || got.Status() != "Image is up to date for "+name+":latest" {
		t.Errorf("pulled %+v, %q", got, got.Status())
	}
	if n := server.Count("GET", "/blobs/"); n != 1 {
		t.Errorf("%d blobs fetched, want the config alone", n)
	}
	if got := log.phases(im.Layers[1].Digest.Short()); !slices.Equal(got, []Phase{PhaseExists}) {
		t.Errorf("phases %v", got)
	}
}

func TestPullOfKnownDigestCostsNoPull(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	im := registrytest.NewImage(t, 1, 1000)
	server.Put(t, "app", "latest", im)
	c := newClient(t, Config{})
	got, err := pull(t, c, server.Host+"/app", PullOptions{Known: im.Digest()}, newSink(), Silent{})
	if err != nil || got.Newer || got.Digest != im.Digest() {
		t.Errorf("pulled %+v, %v", got, err)
	}
	if n := server.Count("GET", "/manifests/"); n != 0 {
		t.Errorf("%d manifests fetched, want none", n)
	}
	// The tag moves: what is known does not matter any more.
	server.Put(t, "app", "latest", registrytest.NewImage(t, 9, 1000))
	if got, err = pull(t, c, server.Host+"/app", PullOptions{Known: im.Digest()}, newSink(), Silent{}); err != nil || !got.Newer {
		t.Errorf("after the tag moved: %+v, %v", got, err)
	}
}

func TestPullChoosesPlatform(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	here := registrytest.NewImageFor(t, image.HostPlatform().String(), 1, 100)
	arm := registrytest.NewImageFor(t, "linux/arm/v7", 2, 100)
	riscv := registrytest.NewImageFor(t, "linux/riscv64", 3, 100)
	for _, im := range []*registrytest.Image{here, arm, riscv} {
		server.Put(t, "app", string(im.Digest()), im)
	}
	index := registrytest.Index(t, riscv.Descriptor("linux/riscv64"), arm.Descriptor("linux/arm/v7"), here.Descriptor(image.HostPlatform().String()))
	server.PutManifest(t, "app", "latest", image.TypeOCIIndex, index)
	name := server.Host + "/app:latest"
	c := newClient(t, Config{})

	sink := newSink()
	got, err := pull(t, c, name, PullOptions{}, sink, Silent{})
	if err != nil {
		t.Fatal(err)
	}
	sink.holds(t, name, here)
	if got.Digest != image.SumBytes(index) || sink.images[name].Index == nil {
		t.Errorf("digest %s, want the index's", got.Digest)
	}
	sink = newSink()
	if _, err := pull(t, c, name, PullOptions{Platform: &image.Platform{OS: "linux", Architecture: "riscv64"}}, sink, Silent{}); err != nil {
		t.Fatal(err)
	}
	sink.holds(t, name, riscv)

	_, err = pull(t, c, name, PullOptions{Platform: &image.Platform{OS: "linux", Architecture: "s390x"}}, newSink(), Silent{})
	var platform *image.PlatformError
	if !errors.As(err, &platform) || !strings.Contains(err.Error(), "linux/arm/v7") || !strings.Contains(err.Error(), "linux/s390x") {
		t.Errorf("error %v does not list the platforms", err)
	}
	wantHint(t, err)
}

func TestPullOfOtherPlatformWithoutIndex(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	server.Put(t, "app", "latest", registrytest.NewImageFor(t, "linux/s390x", 1, 100))
	c := newClient(t, Config{})
	if _, err := pull(t, c, server.Host+"/app", PullOptions{}, newSink(), Silent{}); err != nil {
		t.Errorf("without --platform: %v", err)
	}
	_, err := pull(t, c, server.Host+"/app", PullOptions{Platform: &image.Platform{OS: "linux", Architecture: "amd64"}}, newSink(), Silent{})
	var platform *image.PlatformError
	if !errors.As(err, &platform) || !strings.Contains(err.Error(), "does not match the specified platform (linux/amd64)") {
		t.Errorf("with --platform: %v", err)
	}
}

func TestPullByDigest(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	im := registrytest.NewImage(t, 1, 1000)
	server.Put(t, "app", "latest", im)
	name := server.Host + "/app@" + string(im.Digest())
	sink := newSink()
	if _, err := pull(t, newClient(t, Config{}), name, PullOptions{}, sink, Silent{}); err != nil {
		t.Fatal(err)
	}
	sink.holds(t, name, im)
}

func TestPullAllTags(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	one, two := registrytest.NewImage(t, 1, 1000, 500), registrytest.NewImage(t, 1, 1000, 700)
	server.Put(t, "app", "one", one)
	server.Put(t, "app", "two", two)
	chart := registrytest.Encode(t, image.Manifest{SchemaVersion: 2, MediaType: image.TypeOCIManifest, Layers: []image.Descriptor{}, Config: image.Descriptor{MediaType: "application/vnd.cncf.helm.config.v1+json", Digest: image.SumBytes(nil)}})
	server.PutManifest(t, "app", "chart", image.TypeOCIManifest, chart)
	c, sink, log := newClient(t, Config{}), newSink(), &eventLog{}
	repository := ref(t, server.Host+"/app")
	all, err := c.Pull(context.Background(), repository, PullOptions{AllTags: true}, sink, log)
	if err != nil {
		t.Fatal(err)
	}
	sink.holds(t, server.Host+"/app:one", one)
	sink.holds(t, server.Host+"/app:two", two)
	if len(all) != 2 || StatusAll(repository, all) != "Downloaded newer image for "+server.Host+"/app" {
		t.Errorf("pulled %v", all)
	}
	if got := log.phases("chart"); !slices.Contains(got, PhaseSkipped) {
		t.Errorf("the chart was not skipped: %v", got)
	}
	if _, err := pull(t, c, server.Host+"/app:chart", PullOptions{}, sink, Silent{}); !errors.Is(err, ErrNotImage) {
		t.Errorf("the chart alone: %v", err)
	}
}

func TestPullReportsTheSinksError(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	server.Put(t, "app", "latest", registrytest.NewImage(t, 1, 1000, 1000, 1000, 1000, 1000, 1000))
	full := errors.New("disk full")
	for _, method := range []string{"Begin", "Have", "Receive", "Put"} {
		t.Run(method, func(t *testing.T) {
			sink := newSink()
			sink.fail[method] = full
			if _, err := pull(t, newClient(t, Config{}), server.Host+"/app", PullOptions{}, sink, Silent{}); err != full { //nolint:errorlint // unchanged
				t.Errorf("error %v, want the sink's own", err)
			}
		})
	}
}

func TestPullStopsWithItsContext(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{Fault: registrytest.Blobs(5000, registrytest.StallAfter(100))})
	server.Put(t, "app", "latest", registrytest.NewImage(t, 1, 10_000, 10_000))
	ctx, cancel := context.WithCancel(context.Background())
	sink := newSink()
	c := newClient(t, Config{})
	log := progressFunc(func(e Event) {
		if e.Phase == PhaseDownloading {
			cancel()
		}
	})
	_, err := c.Pull(ctx, ref(t, server.Host+"/app"), PullOptions{}, sink, log)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	sink.empty(t)
}

type progressFunc func(Event)

func (f progressFunc) Event(e Event) { f(e) }

func TestMirrors(t *testing.T) {
	im := registrytest.NewImage(t, 1, 4000)
	good := registrytest.Start(t, registrytest.Options{})
	good.Put(t, "library/app", "latest", im)
	lacking := registrytest.Start(t, registrytest.Options{})
	mangled := registrytest.Start(t, registrytest.Options{Fault: registrytest.Blobs(2000, registrytest.WrongBytes())})
	mangled.Put(t, "library/app", "latest", im)

	cases := []struct {
		name    string
		mirrors []string
		hub     string
		asked   *registrytest.Server
	}{
		{"mirror has it", []string{"http://" + good.Host}, lacking.Host, good},
		{"mirror has it not", []string{"http://" + lacking.Host}, good.Host, lacking},
		{"mirror is down", []string{"http://127.0.0.1:1"}, good.Host, good},
		{"mirror lies", []string{"http://" + mangled.Host}, good.Host, mangled},
		{"second mirror", []string{"http://" + lacking.Host, "http://" + good.Host + "/"}, lacking.Host, good},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			sink := newSink()
			tc.asked.Forget()
			c := newClient(t, Config{Mirrors: tc.mirrors, DockerIO: tc.hub})
			if _, err := pull(t, c, "app", PullOptions{}, sink, Silent{}); err != nil {
				t.Fatal(err)
			}
			sink.holds(t, "app:latest", im)
			if len(tc.asked.Requests()) == 0 {
				t.Error("the mirror was not asked")
			}
			if sink.images["app:latest"].Source != "docker.io/library/app" {
				t.Errorf("source %q", sink.images["app:latest"].Source)
			}
		})
	}
}
