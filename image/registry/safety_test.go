package registry

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry/registrytest"
)

// scene is row 27 of reliability.md part 2: a registry in the Internet that names things, a victim that must not hear of it, and
// a credential that must not leave. Everything listens on loopback; what the client believes is in the map.
type scene struct {
	net      internet
	ca       *registrytest.Authority
	registry *registrytest.Server
	victim   *registrytest.Server // with TLS and, by plainVictim, without
	plain    *registrytest.Server
	config   Config
	image    *registrytest.Image
}

const registryName = "registry.example"

func newScene(t *testing.T, opts registrytest.Options) *scene {
	t.Helper()
	s := &scene{ca: registrytest.NewAuthority(t), image: registrytest.NewImage(t, 1, 50_000)}
	blob := s.image.Blobs[s.image.Layers[0].Digest]
	give := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(blob) })
	names := []string{registryName, "cdn.example", "cdn.registry.example", "inside.example", "token.example"}
	s.victim = registrytest.StartHandler(t, registrytest.Options{TLS: s.ca, Names: names}, give)
	s.plain = registrytest.StartHandler(t, registrytest.Options{}, give)
	opts.TLS, opts.Names = s.ca, names
	s.registry = registrytest.Start(t, opts)
	s.registry.Put(t, "app", "latest", s.image)
	s.net = internet{
		registryName + ":443":      {"203.0.113.1", s.registry.Host},
		"cdn.example:443":          {"203.0.113.2", s.victim.Host},
		"cdn.registry.example:443": {"203.0.113.2", s.victim.Host},
		"cdn.example:80":           {"203.0.113.2", s.plain.Host},
		"inside.example:443":       {"10.0.0.5", s.victim.Host},
		"token.example:443":        {"203.0.113.3", s.victim.Host},
		"localhost:443":            {"127.0.0.1", s.victim.Host},
		"127.0.0.1:443":            {"127.0.0.1", s.victim.Host},
		"127.1:443":                {"127.0.0.1", s.victim.Host},
		"2130706433:443":           {"127.0.0.1", s.victim.Host},
		"0x7f.1:443":               {"127.0.0.1", s.victim.Host},
		"0.0.0.0:443":              {"0.0.0.0", s.victim.Host},
		"[::]:443":                 {"::", s.victim.Host},
		"[::1]:443":                {"::1", s.victim.Host},
		"[::ffff:127.0.0.1]:443":   {"::ffff:127.0.0.1", s.victim.Host},
		"[64:ff9b::a9fe:a9fe]:443": {"64:ff9b::a9fe:a9fe", s.victim.Host},
		"169.254.169.254:443":      {"169.254.169.254", s.victim.Host},
		"169.254.169.254:80":       {"169.254.169.254", s.plain.Host},
		"192.168.1.1:443":          {"192.168.1.1", s.victim.Host},
	}
	s.config = Config{CertDirs: []string{s.ca.CertsD(t, registryName)}, DockerConfig: t.TempDir()}
	return s
}

func (s *scene) client(t *testing.T) *Client {
	t.Helper()
	return s.net.join(newClient(t, s.config))
}

func (s *scene) login(t *testing.T, l Login) {
	t.Helper()
	if _, err := (&Credentials{dir: s.config.DockerConfig}).Put(t.Context(), registryName, l); err != nil {
		t.Fatal(err)
	}
}

// heard lists what the victim was asked, and whether with credentials.
func (s *scene) heard() (requests int, credentials []string) {
	for _, r := range append(s.victim.Requests(), s.plain.Requests()...) {
		requests++
		if a := r.Header.Get("Authorization"); a != "" {
			credentials = append(credentials, a)
		}
	}
	return requests, credentials
}

// elsewhere are places a registry in the Internet has no business to send us to.
var elsewhere = []string{
	"https://localhost", "https://127.0.0.1", "https://127.1", "https://2130706433", "https://0x7f.1", "https://0.0.0.0", "https://[::]",
	"https://[::1]", "https://[::ffff:127.0.0.1]", "https://[64:ff9b::a9fe:a9fe]", "https://169.254.169.254", "http://169.254.169.254",
	"https://192.168.1.1", "https://inside.example", "http://cdn.example", "ftp://cdn.example",
}

func TestRedirectsOfBlobs(t *testing.T) {
	where := make(chan string, 1)
	redirect := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			to := <-where
			where <- to
			http.Redirect(w, r, to+"/x", http.StatusTemporaryRedirect)
		})
	}
	for _, how := range []registrytest.Options{
		{User: "u", Password: "secret"},
		{User: "u", Password: "secret", Token: true},
	} {
		how.Fault = registrytest.Blobs(10_000, redirect)
		s := newScene(t, how)
		s.login(t, Login{Username: "u", Password: "secret"})
		for _, to := range []string{"https://cdn.example", "https://cdn.registry.example"} { // the controls: these may be asked, without credentials
			where <- to
			sink := newSink()
			if _, err := pull(t, s.client(t), registryName+"/app", PullOptions{}, sink, Silent{}); err != nil {
				t.Fatalf("redirect to %s: %v", to, err)
			}
			if n, credentials := s.heard(); n == 0 || len(credentials) > 0 {
				t.Errorf("%s had %d requests and heard %q", to, n, credentials)
			}
			s.victim.Forget()
			<-where
		}
		for _, to := range elsewhere {
			where <- to
			sink := newSink()
			_, err := pull(t, s.client(t), registryName+"/app", PullOptions{}, sink, Silent{})
			if n, _ := s.heard(); n != 0 {
				t.Errorf("redirect to %s was followed", to)
			}
			wantKind(t, err, ErrUnsafe)
			sink.empty(t)
			<-where
		}
	}
}

// TestVictimsCanBeReached is the control of all the tests here: a plain http.Client follows, with everything it has.
func TestVictimsCanBeReached(t *testing.T) {
	s := newScene(t, registrytest.Options{Fault: registrytest.Blobs(10_000, registrytest.Redirect("https://inside.example/x"))})
	c := s.client(t)
	config := s.ca.ServerConfig(t)
	config.RootCAs = s.ca.Clients()
	plain := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return c.dial(ctx, network, addr, func(netip.Addr) error { return nil })
	}}}
	resp, err := plain.Get("https://" + registryName + "/v2/app/blobs/" + string(s.image.Layers[0].Digest))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if n, _ := s.heard(); n != 1 {
		t.Errorf("the victim had %d requests, want 1", n)
	}
}

func TestRealms(t *testing.T) {
	for _, to := range append([]string{"https://token.example"}, elsewhere...) {
		t.Run(to, func(t *testing.T) {
			s := newScene(t, registrytest.Options{Realm: to + "/token"})
			s.login(t, Login{Username: "u", Password: "secret"})
			sink := newSink()
			_, err := pull(t, s.client(t), registryName+"/app", PullOptions{}, sink, Silent{})
			n, credentials := s.heard()
			if to == "https://token.example" { // the control: a token server of its own may be asked, and may have the password
				if n == 0 || len(credentials) == 0 {
					t.Errorf("the token server was not asked: %v", err)
				}
				return
			}
			wantKind(t, err, ErrUnsafe)
			if n != 0 {
				t.Errorf("realm %s was called", to)
			}
		})
	}
}

func TestForeignLayerURLs(t *testing.T) {
	for _, to := range append([]string{"https://cdn.example"}, elsewhere...) {
		t.Run(to, func(t *testing.T) {
			s := newScene(t, registrytest.Options{User: "u", Password: "secret"})
			s.login(t, Login{Username: "u", Password: "secret"})
			im := s.image
			m := image.Manifest{SchemaVersion: 2, MediaType: image.TypeOCIManifest, Config: image.Descriptor{MediaType: image.TypeOCIConfig, Digest: image.SumBytes(im.Config), Size: int64(len(im.Config))}}
			m.Layers = []image.Descriptor{{MediaType: image.TypeDockerForeign, Digest: im.Layers[0].Digest, Size: im.Layers[0].Size, URLs: []string{to + "/layer"}}}
			s.registry.PutBlob(t, "foreign", image.SumBytes(im.Config), im.Config)
			s.registry.PutManifest(t, "foreign", "latest", image.TypeOCIManifest, registrytest.Encode(t, m))
			s.registry.ServeHTTP(discard{}, mustRequest(t, http.MethodDelete, "/v2/app/blobs/"+string(im.Layers[0].Digest)))
			sink := newSink()
			_, err := pull(t, s.client(t), registryName+"/foreign", PullOptions{}, sink, Silent{})
			n, credentials := s.heard()
			if len(credentials) != 0 {
				t.Errorf("%s heard %q", to, credentials)
			}
			if to == "https://cdn.example" {
				if err != nil || n != 1 {
					t.Errorf("control: %d requests, %v", n, err)
				}
				return
			}
			wantKind(t, err, ErrUnsafe)
			if n != 0 {
				t.Errorf("%s was called", to)
			}
		})
	}
}

func TestRedirectsOfManifests(t *testing.T) {
	for _, to := range elsewhere {
		s := newScene(t, registrytest.Options{Fault: registrytest.On("GET", "/manifests/", registrytest.Redirect(to+"/x"))})
		_, err := pull(t, s.client(t), registryName+"/app", PullOptions{}, newSink(), Silent{})
		if n, _ := s.heard(); n != 0 || err == nil {
			t.Errorf("redirect to %s: %d requests, %v", to, n, err)
		}
	}
}

func TestUploadLocations(t *testing.T) {
	for _, to := range elsewhere {
		location := registrytest.Status(202, "", "Location: "+to+"/upload")
		s := newScene(t, registrytest.Options{Fault: registrytest.On("POST", "/blobs/uploads/", location)})
		_, err := pushImage(t, s.client(t), registryName+"/new", newSource(registrytest.NewImage(t, 7, 100)), Silent{})
		if n, _ := s.heard(); n != 0 || err == nil {
			t.Errorf("upload location %s: %d requests, %v", to, n, err)
		}
	}
}

// TestIdentityTokenStaysWithItsRealm has a token server that sends the form with the identity token on.
func TestIdentityTokenStaysWithItsRealm(t *testing.T) {
	s := newScene(t, registrytest.Options{Realm: "https://token.example/token"})
	thief := registrytest.StartHandler(t, registrytest.Options{TLS: s.ca, Names: []string{"token.example"}}, registrytest.Redirect("https://cdn.example")(nil))
	s.net["token.example:443"] = site{"203.0.113.3", thief.Host}
	s.login(t, Login{Username: "u", IdentityToken: "the identity token"})
	_, err := pull(t, s.client(t), registryName+"/app", PullOptions{}, newSink(), Silent{})
	if n, _ := s.heard(); n != 0 {
		t.Errorf("the form was sent on: %d requests", n)
	}
	wantKind(t, err, ErrUnsafe)
	if thief.Count("POST", "/token") != 1 {
		t.Error("the token server itself was not asked")
	}
}

// TestClassOfTheRegistryMayBeNamed has registries on addresses that are not public.
func TestClassOfTheRegistryMayBeNamed(t *testing.T) {
	cases := []struct {
		name, registry, target string
		want                   error
	}{
		{"private to private", "10.0.0.2", "10.0.0.3", nil},
		{"loopback to loopback", "127.0.0.1", "127.0.0.2", nil},
		{"private to public", "192.168.3.4", "203.0.113.9", nil},
		{"private to loopback", "10.0.0.2", "127.0.0.1", ErrUnsafe},
		{"loopback to link-local", "127.0.0.1", "169.254.169.254", ErrUnsafe},
		{"private to link-local", "10.0.0.2", "169.254.169.254", ErrUnsafe},
		{"public to private", "203.0.113.1", "10.0.0.3", ErrUnsafe},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t, registrytest.Options{Fault: registrytest.Blobs(10_000, registrytest.Redirect("https://cdn.example/x"))})
			s.net[registryName+":443"] = site{tc.registry, s.registry.Host}
			s.net["cdn.example:443"] = site{tc.target, s.victim.Host}
			_, err := pull(t, s.client(t), registryName+"/app", PullOptions{}, newSink(), Silent{})
			if n, _ := s.heard(); tc.want == nil && (err != nil || n != 1) || tc.want != nil && n != 0 {
				t.Errorf("%d requests, %v", n, err)
			}
			if tc.want != nil {
				wantKind(t, err, tc.want)
			}
		})
	}
}

// TestRealmOnLiteralPrivateAddress is the workaround for go-containerregistry's check of realms.
func TestRealmOnLiteralPrivateAddress(t *testing.T) {
	tokens := registrytest.Start(t, registrytest.Options{User: "u", Password: "secret", Token: true})
	server := registrytest.Start(t, registrytest.Options{Realm: "http://" + tokens.Host + "/token?account=x"})
	im := registrytest.NewImage(t, 1, 100)
	server.Put(t, "app", "latest", im)
	config := Config{DockerConfig: t.TempDir()}
	c := newClient(t, config)
	if _, err := c.Credentials().Put(t.Context(), server.Host, Login{Username: "u", Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	sink := newSink()
	if _, err := pull(t, c, server.Host+"/app", PullOptions{}, sink, Silent{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range tokens.Requests() {
		if r.Host != tokens.Host || !strings.Contains(r.Query, "account=x") {
			t.Errorf("token server was asked as %q, %q", r.Host, r.Query)
		}
	}
}

func TestRedirectToTheSameHostInTheClear(t *testing.T) {
	for _, part := range []string{"/v2/", "/manifests/", "/blobs/"} {
		s := newScene(t, registrytest.Options{Fault: registrytest.On(http.MethodGet, part, registrytest.Redirect("http://"+registryName))})
		s.net[registryName+":80"] = site{"203.0.113.1", s.plain.Host}
		_, err := pull(t, s.client(t), registryName+"/app", PullOptions{}, newSink(), Silent{})
		if n, _ := s.heard(); n != 0 || err == nil || strings.Contains(err.Error(), "internal") {
			t.Errorf("redirect of %s: %d requests in the clear, %v", part, n, err)
		}
	}
}

// TestDisguiseOpensNoDoor has a registry that uses our own disguise to name an address.
func TestDisguiseOpensNoDoor(t *testing.T) {
	s := newScene(t, registrytest.Options{Realm: "https://3132372e302e302e31" + realmSuffix + "/token"}) // 127.0.0.1
	s.login(t, Login{Username: "u", Password: "secret"})
	_, err := pull(t, s.client(t), registryName+"/app", PullOptions{}, newSink(), Silent{})
	if n, _ := s.heard(); n != 0 {
		t.Error("the victim was called")
	}
	wantKind(t, err, ErrUnsafe)
}

func TestSecureRegistryIsNeverSpokenToInTheClear(t *testing.T) {
	im := registrytest.NewImage(t, 1, 100)
	plain := registrytest.Start(t, registrytest.Options{})
	plain.Put(t, "app", "latest", im)
	for _, name := range []string{"registry.example:5000", "10.1.2.3:5000", "192.168.7.7"} {
		n := internet{"registry.example:5000": {"203.0.113.1", plain.Host}, "10.1.2.3:5000": {"10.1.2.3", plain.Host}, "192.168.7.7:443": {"192.168.7.7", plain.Host}, "192.168.7.7:80": {"192.168.7.7", plain.Host}}
		plain.Forget()
		c := n.join(newClient(t, Config{}))
		_, err := pull(t, c, name+"/app", PullOptions{}, newSink(), Silent{})
		wantKind(t, err, ErrTLS)
		wantHint(t, err)
		if got := plain.Requests(); len(got) != 0 {
			t.Errorf("%s was asked %v", name, got)
		}
		c = n.join(newClient(t, Config{Insecure: []string{name}}))
		if _, err := pull(t, c, name+"/app", PullOptions{}, newSink(), Silent{}); err != nil {
			t.Errorf("%s declared insecure: %v", name, err)
		}
	}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (discard) WriteHeader(int)             {}

func mustRequest(t *testing.T, method, path string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, "http://registry"+filepath.Clean(path), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
