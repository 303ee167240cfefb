package registry

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image/registry/registrytest"
)

// layerBytes is the size of the layer the faults hit; the config is much smaller.
const (
	layerBytes = 3_000_000
	bigBlob    = 100_000
)

// TestFaults is fault 29 of reliability.md part 4: each fault has its kind of error, or none where a retry heals it, and nothing
// unhashed reaches the sink. The control is the first line: the same pull without a fault.
func TestFaults(t *testing.T) {
	type fault = registrytest.Fault
	blob := func(f fault) fault { return registrytest.Blobs(bigBlob, f) }
	manifest := func(f fault) fault { return registrytest.On(http.MethodGet, "/manifests/", f) }
	both := func(a, b fault) fault { return func(h http.Handler) http.Handler { return a(b(h)) } }
	once := func(f fault) fault { return registrytest.Times(1, f) }
	toomany := registrytest.Status(429, `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}`, "Retry-After: 7200")
	soon := registrytest.Status(429, "", "Retry-After: 1")
	cases := []struct {
		name  string
		fault fault
		want  error // nil: healed
	}{
		{"none", nil, nil},
		{"blob cut once", blob(once(registrytest.CutAfter(1_000_000))), nil},
		{"blob cut each megabyte", blob(registrytest.CutAfter(1_200_000)), nil},
		{"blob cut once, ranges ignored", both(blob(once(registrytest.CutAfter(1_000_000))), blob(registrytest.NoRanges())), nil},
		{"blob cut at byte 0 always", blob(registrytest.CutAfter(0)), ErrSize},
		{"blob cut at byte 10 always", blob(registrytest.CutAfter(10)), ErrSize},
		{"blob cut, ranges ignored", both(blob(registrytest.NoRanges()), blob(registrytest.CutAfter(1_200_000))), ErrSize},
		{"blob with one wrong byte once", blob(once(registrytest.WrongBytes())), nil},
		{"blob with one wrong byte", blob(registrytest.WrongBytes()), ErrDigest},
		{"blob shorter", blob(registrytest.Resize(-10, false)), ErrSize},
		{"blob shorter, unannounced", blob(registrytest.Resize(-10, true)), ErrSize},
		{"blob longer", blob(registrytest.Resize(10, false)), ErrSize},
		{"blob longer, unannounced", blob(registrytest.Resize(10, true)), ErrSize},
		{"blob stalls once", blob(once(registrytest.StallAfter(1000))), nil},
		{"blob stalls", blob(registrytest.StallAfter(1000)), ErrStalled},
		{"blob drips", blob(registrytest.Drip(10 * time.Millisecond)), ErrStalled},
		{"blob missing", blob(registrytest.Status(404, "")), ErrNotFound},
		{"blob 500 once", blob(once(registrytest.Status(500, ""))), nil},
		{"blob 500", blob(registrytest.Status(500, "")), ErrServer},
		{"blob 429, two hours", blob(toomany), ErrRateLimited},
		{"blob 429 once, one second", blob(once(soon)), nil},
		{"blob 401", blob(registrytest.Status(401, "")), ErrDenied},
		{"manifest 502 once", manifest(once(registrytest.Status(502, "<html>"))), nil},
		{"manifest 502", manifest(registrytest.Status(502, "<html>")), ErrServer},
		{"manifest 429", manifest(toomany), ErrRateLimited},
		{"manifest 403", manifest(registrytest.Status(403, `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`)), ErrDenied},
		{"manifest cut once", manifest(once(registrytest.CutAfter(20))), nil},
		{"manifest 401 loop", manifest(registrytest.Status(401, "", `WWW-Authenticate: Basic realm="x"`)), ErrDenied},
		{"manifest redirect loop", manifest(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
			})
		}), ErrServer},
		{"blob redirect loop", blob(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
			})
		}), ErrServer},
	}
	im := registrytest.NewImage(t, 1, layerBytes)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			server := registrytest.Start(t, registrytest.Options{Fault: tc.fault})
			server.Put(t, "app", "latest", im)
			sink := newSink()
			name := server.Host + "/app:latest"
			config := Config{Patience: quick}
			if strings.Contains(tc.name, "stalls") || strings.Contains(tc.name, "drips") {
				config.Patience = hasty()
			}
			_, err := pull(t, newClient(t, config), name, PullOptions{}, sink, Silent{})
			if n := len(server.Requests()); n > 40 {
				t.Errorf("%d requests for one pull", n)
			}
			if tc.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				sink.holds(t, name, im)
				return
			}
			wantKind(t, err, tc.want)
			sink.empty(t)
		})
	}
}

func TestResumeAsksOnlyForTheRest(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{Fault: registrytest.Blobs(bigBlob, registrytest.Times(1, registrytest.CutAfter(1_000_000)))})
	im := registrytest.NewImage(t, 1, layerBytes)
	server.Put(t, "app", "latest", im)
	if _, err := pull(t, newClient(t, Config{}), server.Host+"/app", PullOptions{}, newSink(), Silent{}); err != nil {
		t.Fatal(err)
	}
	var ranges []string
	for _, r := range server.Requests() {
		if rng := r.Header.Get("Range"); rng != "" {
			ranges = append(ranges, rng)
		}
	}
	if len(ranges) != 1 || ranges[0] == "bytes=0-" || !strings.HasPrefix(ranges[0], "bytes=") {
		t.Errorf("ranges %q, want one that does not begin at 0", ranges)
	}
}

func TestSinkThatHashesSeesWrongBytes(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{Fault: registrytest.Blobs(bigBlob, registrytest.WrongBytes())})
	server.Put(t, "app", "latest", registrytest.NewImage(t, 1, layerBytes))
	sink := newSink() // it does not hash, so it is fooled: the option means what it says
	if _, err := pull(t, newClient(t, Config{}), server.Host+"/app", PullOptions{SinkHashes: true}, sink, Silent{}); err != nil {
		t.Fatal(err)
	}
}

func TestRateLimitTellsHowLong(t *testing.T) {
	fault := registrytest.On(http.MethodGet, "/manifests/", registrytest.Status(429, `{"errors":[{"message":"limit \u001b[31mreached"}]}`, "Retry-After: 7200"))
	server := registrytest.Start(t, registrytest.Options{Fault: fault})
	_, err := pull(t, newClient(t, Config{}), server.Host+"/app", PullOptions{}, newSink(), Silent{})
	wantKind(t, err, ErrRateLimited)
	wantHint(t, err)
	e, ok := err.(*Error) //nolint:errorlint // the contract
	if !ok || e.Wait != 2*time.Hour || !strings.Contains(err.Error(), "2h0m0s") {
		t.Errorf("error %#v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	cases := []struct {
		value string
		want  time.Duration
	}{
		{"", 0}, {"0", 0}, {"-5", 0}, {"120", 2 * time.Minute}, {"soon", 0},
		{"Tue, 24 Nov 2026 12:05:00 GMT", 5 * time.Minute}, {"Tue, 24 Nov 2026 11:05:00 GMT", 0},
		{"1795522200", 10 * time.Minute}, // Docker Hub: seconds since 1970
	}
	for _, tc := range cases {
		if got := retryAfter(http.Header{"Retry-After": {tc.value}}, now); got != tc.want {
			t.Errorf("%q: %v, want %v", tc.value, got, tc.want)
		}
	}
}

func TestQuota(t *testing.T) {
	limits := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ratelimit-limit", "100;w=21600")
			w.Header().Set("ratelimit-remaining", "76;w=21600")
			next.ServeHTTP(w, r)
		})
	}
	server := registrytest.Start(t, registrytest.Options{Fault: limits})
	server.Put(t, "app", "latest", registrytest.NewImage(t, 1, 10))
	got, err := pull(t, newClient(t, Config{}), server.Host+"/app", PullOptions{}, newSink(), Silent{})
	if want := (Quota{Limit: 100, Remaining: 76, Window: 6 * time.Hour}); err != nil || got.Quota != want {
		t.Errorf("quota %+v, want %+v (%v)", got.Quota, want, err)
	}
}

func TestUnknownImages(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	server.Put(t, "app", "latest", registrytest.NewImage(t, 1, 10))
	c := newClient(t, Config{DockerIO: server.Host})
	_, err := pull(t, c, server.Host+"/app:nosuch", PullOptions{}, newSink(), Silent{})
	wantKind(t, err, ErrNotFound)
	if want := "manifest for " + server.Host + "/app:nosuch not found: manifest unknown: "; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %q, want %q…", err, want)
	}
	_, err = pull(t, c, "nosuch", PullOptions{}, newSink(), Silent{})
	wantKind(t, err, ErrNotFound)
	if !strings.Contains(err.Error(), "repository nosuch not found") && !strings.Contains(err.Error(), "manifest for nosuch:latest not found") {
		t.Errorf("error %q", err)
	}
	_, err = c.Tags(t.Context(), ref(t, server.Host+"/nosuch"))
	wantKind(t, err, ErrNotFound)
}

func TestUnreachable(t *testing.T) {
	c := newClient(t, Config{})
	_, err := pull(t, c, "127.0.0.1:1/app", PullOptions{}, newSink(), Silent{})
	wantKind(t, err, ErrUnreachable)
	wantHint(t, err)
	_, err = pull(t, internet{}.join(newClient(t, Config{})), "nosuch.example/app", PullOptions{}, newSink(), Silent{})
	wantKind(t, err, ErrUnreachable)
	wantHint(t, err)
}
