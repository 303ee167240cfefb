package registry

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moss-sandbox/moss/image/registry/registrytest"
)

func storeIn(t *testing.T, content string) *Credentials {
	t.Helper()
	s := &Credentials{dir: filepath.Join(t.TempDir(), "docker")}
	if content != "" {
		registrytest.Write(t, s.path(), []byte(content))
	}
	return s
}

func get(t *testing.T, s *Credentials, registry string) Login {
	t.Helper()
	l, err := s.Get(t.Context(), registry)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestCredentialsDockerWrote(t *testing.T) {
	s := storeIn(t, `{"auths":{
		"https://index.docker.io/v1/":{"auth":"aHViOnB3"},
		"quay.io":{"auth":"cXVheTpwdzp3aXRoOmNvbG9ucw=="},
		"https://old.example/v1/":{"auth":"b2xkOnB3"},
		"plain.example:5000":{"username":"u","password":"p"},
		"token.example":{"auth":"dTo=","identitytoken":"it"},
		"unpadded.example":{"auth":"YTpi"},
		"broken.example":{"auth":"!"}}}`)
	cases := []struct {
		registry string
		want     Login
	}{
		{"docker.io", Login{Username: "hub", Password: "pw"}},
		{"index.docker.io", Login{Username: "hub", Password: "pw"}},
		{"quay.io", Login{Username: "quay", Password: "pw:with:colons"}},
		{"old.example", Login{Username: "old", Password: "pw"}},
		{"plain.example:5000", Login{Username: "u", Password: "p"}},
		{"plain.example", Login{}},
		{"token.example", Login{Username: "u", IdentityToken: "it"}},
		{"unpadded.example", Login{Username: "a", Password: "b"}},
		{"nosuch.example", Login{}},
	}
	for _, tc := range cases {
		if got := get(t, s, tc.registry); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.registry, got, tc.want)
		}
	}
	if _, err := s.Get(t.Context(), "broken.example"); err == nil {
		t.Error("a broken entry is no error")
	}
}

func TestCredentialsKeepWhatTheyDoNotKnow(t *testing.T) {
	s := storeIn(t, `{"psFormat":"table {{.ID}}","proxies":{"default":{"httpProxy":"x"}},"auths":{"quay.io":{"auth":"cTpw","email":"a@b"}}}`)
	if _, err := s.Put(t.Context(), "docker.io", Login{Username: "u", Password: "p"}); err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	b, err := os.ReadFile(s.path())
	if err == nil {
		err = json.Unmarshal(b, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	auths, _ := file["auths"].(map[string]any)
	quay, _ := auths["quay.io"].(map[string]any)
	hub, _ := auths["https://index.docker.io/v1/"].(map[string]any)
	if file["psFormat"] == nil || file["proxies"] == nil || quay["email"] != "a@b" || hub["auth"] != "dTpw" {
		t.Errorf("file is now %s", b)
	}
	if info, err := os.Stat(s.path()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(s.dir, ".config.json-*"))
	if len(left) != 0 || err != nil {
		t.Errorf("temporary files left: %v", left)
	}
}

func TestCredentialsErase(t *testing.T) {
	s := storeIn(t, `{"auths":{"https://old.example/v1/":{"auth":"b2xkOnB3"},"http://old.example":{},"quay.io":{"auth":"cTpw"}}}`)
	had, err := s.Erase(t.Context(), "old.example")
	if err != nil || !had {
		t.Errorf("erase: %v, %v", had, err)
	}
	if !get(t, s, "old.example").Empty() || get(t, s, "quay.io").Empty() {
		t.Error("erased the wrong ones")
	}
	if had, err = s.Erase(t.Context(), "old.example"); had || err != nil {
		t.Errorf("erase again: %v, %v", had, err)
	}
}

func TestCredentialsLeaveABrokenFileAlone(t *testing.T) {
	for _, content := range []string{`{"auths":`, `{"auths":[]}`, `[]`} {
		s := storeIn(t, content)
		_, err := s.Put(t.Context(), "docker.io", Login{Username: "u", Password: "p"})
		wantKind(t, err, ErrCredentials)
		if b, err := os.ReadFile(s.path()); string(b) != content || err != nil {
			t.Errorf("%q became %q", content, b)
		}
	}
}

func TestCredentialsFollowALink(t *testing.T) {
	s := storeIn(t, "{}")
	real := filepath.Join(t.TempDir(), "dotfiles.json")
	if err := os.Rename(s.path(), real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, s.path()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "quay.io", Login{Username: "u", Password: "p"}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(s.path()); err != nil || info.Mode()&os.ModeSymlink == 0 || get(t, s, "quay.io").Empty() {
		t.Error("the link was replaced")
	}
}

func TestLoginsAtOnceKeepAll(t *testing.T) {
	s := storeIn(t, "")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			other := &Credentials{dir: s.dir}
			if _, err := other.Put(context.Background(), "r"+string(rune('a'+i))+".example", Login{Username: "u", Password: "p"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 20 {
		if get(t, s, "r"+string(rune('a'+i))+".example").Empty() {
			t.Errorf("login %d is lost", i)
		}
	}
}

// fakeHelper puts a docker-credential-fake into PATH that keeps its logins in a directory, and returns the directory.
func fakeHelper(t *testing.T) string {
	t.Helper()
	bin, kept := t.TempDir(), t.TempDir()
	script := `#!/bin/sh
file="` + kept + `/logins"
case "$1" in
store) cat > "$file" ;;
get) read -r server; if grep -q "\"ServerURL\":\"$server\"" "$file" 2>/dev/null; then cat "$file"; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm -f "$file" ;;
*) exit 1 ;;
esac
`
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-fake"), []byte(script), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-broken"), []byte("#!/bin/sh\necho no keyring here\nexit 1\n"), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return kept
}

func TestHelpers(t *testing.T) {
	for _, config := range []string{`{"credsStore":"fake"}`, `{"credHelpers":{"quay.io":"fake"},"credsStore":"nosuch"}`} {
		kept := fakeHelper(t)
		s := storeIn(t, config)
		want := Login{Username: "u", Password: "very secret"}
		stored, err := s.Put(t.Context(), "quay.io", want)
		if err != nil || stored.Helper != "fake" {
			t.Fatalf("stored %+v, %v", stored, err)
		}
		if got := get(t, s, "quay.io"); got != want {
			t.Errorf("got %+v", got)
		}
		b, err := os.ReadFile(s.path())
		if err != nil || strings.Contains(string(b), "very secret") || strings.Contains(string(b), entryFor(want).Auth) {
			t.Errorf("the password is in the file: %s", b)
		}
		if had, err := s.Erase(t.Context(), "quay.io"); !had || err != nil {
			t.Errorf("erase: %v, %v", had, err)
		}
		if left, _ := os.ReadDir(kept); len(left) != 0 || !get(t, s, "quay.io").Empty() {
			t.Error("not erased")
		}
	}
}

func TestHelperKeepsIdentityTokens(t *testing.T) {
	fakeHelper(t)
	s := storeIn(t, `{"credsStore":"fake"}`)
	if _, err := s.Put(t.Context(), "quay.io", Login{Username: "u", IdentityToken: "it"}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "quay.io"); got.IdentityToken != "it" || got.Password != "" {
		t.Errorf("got %+v", got)
	}
}

// TestPasswordIsNeverWrittenBesideAHelper has helpers that fail: the login fails with them.
func TestPasswordIsNeverWrittenBesideAHelper(t *testing.T) {
	fakeHelper(t)
	for _, name := range []string{"broken", "nosuch", "../../bin/sh"} {
		s := storeIn(t, `{"credsStore":"`+name+`"}`)
		_, err := s.Put(t.Context(), "quay.io", Login{Username: "u", Password: "very secret"})
		wantKind(t, err, ErrCredentials)
		wantHint(t, err)
		b, err := os.ReadFile(s.path())
		if err != nil || strings.Contains(string(b), "auth") {
			t.Errorf("helper %q: file is now %s", name, b)
		}
	}
}

// TestPullWithABrokenHelperGoesOnWithout asks for a public image; a private one says why there were no credentials.
func TestPullWithABrokenHelperGoesOnWithout(t *testing.T) {
	fakeHelper(t)
	dir := t.TempDir()
	registrytest.Write(t, filepath.Join(dir, "config.json"), []byte(`{"credsStore":"broken"}`))
	public := registrytest.Start(t, registrytest.Options{})
	public.Put(t, "app", "latest", registrytest.NewImage(t, 1, 10))
	private := registrytest.Start(t, registrytest.Options{User: "u", Password: "p"})
	c := newClient(t, Config{DockerConfig: dir})
	if _, err := pull(t, c, public.Host+"/app", PullOptions{}, newSink(), Silent{}); err != nil {
		t.Error(err)
	}
	_, err := pull(t, c, private.Host+"/app", PullOptions{}, newSink(), Silent{})
	wantKind(t, err, ErrDenied)
	if e, ok := err.(*Error); !ok || !strings.Contains(strings.Join(e.Hints(), "\n"), "no keyring here") { //nolint:errorlint // the contract
		t.Errorf("no hint about the helper: %v", err)
	}
}

func TestServerNames(t *testing.T) {
	cases := []struct{ in, name, address string }{
		{"", "docker.io", hubKey}, {"docker.io", "docker.io", hubKey}, {"https://index.docker.io/v1/", "docker.io", hubKey},
		{"registry-1.docker.io", "docker.io", hubKey}, {"quay.io", "quay.io", "quay.io"}, {"https://quay.io", "quay.io", "quay.io"},
		{"http://localhost:5000/v2/", "localhost:5000", "localhost:5000"}, {"[::1]:5000", "[::1]:5000", "[::1]:5000"},
	}
	for _, tc := range cases {
		if got := ServerName(tc.in); got != tc.name || ServerAddress(got) != tc.address {
			t.Errorf("%q: %q, %q; want %q, %q", tc.in, got, ServerAddress(got), tc.name, tc.address)
		}
	}
}
