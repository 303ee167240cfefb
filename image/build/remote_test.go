package build_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/tests/harness"
)

func TestAddURL(t *testing.T) {
	s := newSite(t)
	asked := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path == "/none" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
		io.WriteString(w, "from the web")
	}))
	defer web.Close()
	r := s.build("FROM base; ADD " + web.URL + "/a/file.txt /d/; ADD " + web.URL + "/x /named")
	s.wantLayers(r, "d/ d/file.txt=from the web", "named=from the web")
	if s.build("FROM base; ADD " + web.URL + "/a/file.txt /d/"); len(s.done) > 0 {
		t.Errorf("the same content did %q", s.done)
	}
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("from the web")))
	s.build("FROM base; ADD --checksum=" + sum + " " + web.URL + "/a /d/")
	before := asked
	if s.build("FROM base; ADD --checksum=" + sum + " " + web.URL + "/a /d/"); asked != before || len(s.done) > 0 {
		t.Errorf("with a checksum it asked %d times and did %q", asked-before, s.done)
	}
	for text, want := range map[string]string{
		"ADD " + web.URL + "/none /x": "invalid response status 404", "ADD --checksum=sha256:" + strings.Repeat("0", 64) + " " + web.URL + "/a /x": "digest mismatch",
		"ADD --checksum=md5:0 " + web.URL + "/a /x": "invalid checksum",
	} {
		if _, err := s.try("FROM base; " + text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// gitServer serves a repository with a tag, a link out, a submodule of file:// and a hook over git:// on loopback.
func gitServer(t *testing.T) (url string) {
	t.Helper()
	harness.RequirePackages(t, "git")
	dir := t.TempDir()
	work := filepath.Join(dir, "repo")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@x", "-c", "init.defaultBranch=main"}, args...)...)
		cmd.Dir = work
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	for name, data := range map[string]string{"Dockerfile": "FROM base\nCOPY f /f\n", "f": "one", "sub/Dockerfile": "FROM base\nCOPY g /g\n", "sub/g": "gee"} {
		p := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(work, "out")); err != nil {
		t.Fatal(err)
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "one")
	git("tag", "v1")
	if err := os.WriteFile(filepath.Join(work, "f"), []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	git("commit", "-q", "-a", "-m", "two")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	daemon := exec.Command("git", "daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", fmt.Sprintf("--port=%d", port), "--base-path="+dir)
	daemon.Env = append(os.Environ(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	if err := daemon.Start(); err != nil {
		t.Fatalf("git daemon: %v", err)
	}
	t.Cleanup(func() { _ = daemon.Process.Kill(); _, _ = daemon.Process.Wait() })
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return "git://" + address + "/repo"
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("git daemon does not answer")
	return ""
}

func TestGit(t *testing.T) {
	s := newSite(t)
	repo := gitServer(t)
	from := func(url string) func(*build.Options) {
		return func(o *build.Options) { o.Source, o.Text = build.Source{URL: url}, nil }
	}
	for _, c := range []struct{ url, want string }{{repo, "f=two"}, {repo + "#v1", "f=one"}, {repo + "#main:sub", "g=gee"}} {
		r := s.build("", from(c.url))
		s.wantLayers(r, c.want)
	}
	r := s.build("FROM base; ADD " + repo + "#v1 /src")
	if got := s.layers(r)[0]; !strings.Contains(got, "src/f=one") || strings.Contains(got, ".git/") || !strings.Contains(got, "src/out->/etc") {
		t.Errorf("got %s", got)
	}
	r = s.build("FROM base; ADD --keep-git-dir=true " + repo + "#v1 /src")
	if got := s.layers(r)[0]; !strings.Contains(got, "src/.git/HEAD") {
		t.Errorf("got %s", got)
	}
	for url, want := range map[string]string{
		repo + "#main:../..": "leads outside", repo + "#main:out": "no directory", repo + "#-u": "invalid git reference", repo + "#--upload-pack=x": "invalid git reference",
		repo + "#nothing": "fetching", repo + "#a..b": "invalid git reference", "file:///etc#x": "neither a directory", "ext::sh -c x": "neither a directory",
	} {
		if _, err := s.try("", from(url)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", url, err)
		}
	}
	if _, err := s.try("FROM base; ADD --checksum=0123456789 " + repo + " /src"); err == nil || !strings.Contains(err.Error(), "expected checksum to match") {
		t.Errorf("a wrong commit: %v", err)
	}
}

func TestStreams(t *testing.T) {
	s := newSite(t)
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for name, data := range map[string]string{"my.docker": "FROM base\nCOPY . /c/\n", "my.docker.dockerignore": "no\n*.docker*\n", "a": "A", "no": "N"} {
		if err := tw.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0, Typeflag: tar.TypeReg, Uid: 1234}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(tw, data)
	}
	tw.Close()
	r := s.build("", func(o *build.Options) {
		o.Source, o.Text, o.Dockerfile, o.InContext = build.Source{Stream: &b}, nil, "my.docker", true
	})
	s.wantLayers(r, "c/ c/a=A")
	r = s.build("", func(o *build.Options) {
		o.Source, o.Text = build.Source{Stream: strings.NewReader("FROM base\nRUN echo x >/x\n")}, nil
	})
	s.wantLayers(r, "x=x")
	if _, err := s.try("", func(o *build.Options) {
		var b bytes.Buffer
		tw := tar.NewWriter(&b)
		if err := tw.WriteHeader(&tar.Header{Name: "../../x", Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		tw.Close()
		o.Source, o.Text = build.Source{Stream: &b}, nil
	}); err == nil || !strings.Contains(err.Error(), "leads outside") {
		t.Errorf("got %v", err)
	}
}

// TestCacheIsNotPoisoned: an image whose history tells the wanted steps but that stands on another base is no cache
// (CVE-2024-24557). The control is the same image on the right base.
func TestCacheIsNotPoisoned(t *testing.T) {
	s := newSite(t)
	const file = "FROM base; ENV a=1; RUN echo good >/x"
	good := s.build(file, func(o *build.Options) { o.Tags = []image.Ref{ref(t, "good")} })
	evil := t.TempDir()
	if err := os.WriteFile(filepath.Join(evil, "x"), []byte("evil"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(evil, "root")
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.AddImage(t, "evil", good.Image.Config.Config, good.Image.Config.History, dir)
	from := func(name string) func(*build.Options) {
		return func(o *build.Options) { o.CacheFrom = []build.CacheSpec{{Type: "registry", Ref: name}} }
	}
	other := newSite(t) // an engine without the steps
	for _, name := range []string{"good", "evil"} {
		if img, err := s.Image(t.Context(), name, build.PullNever, image.Platform{}); err == nil {
			other.Adopt(t, s.Engine, name, img)
		}
	}
	if other.build(file, from("evil")); len(other.done) != 2 {
		t.Errorf("from a crafted image only %q was done", other.done)
	}
	third := newSite(t)
	img, err := s.Image(t.Context(), "good", build.PullNever, image.Platform{})
	if err != nil {
		t.Fatal(err)
	}
	third.Adopt(t, s.Engine, "good", img)
	if r := third.build(file, from("good")); len(third.done) != 0 || r.ID != good.ID {
		t.Errorf("control: from the right image %q was done; %s %s", third.done, r.ID, good.ID)
	}
}

// TestMountTargetsThroughLinks: targets of mounts that are links of the image stay in the image (CVE-2024-1753, -9407).
func TestMountTargetsThroughLinks(t *testing.T) {
	s := newSite(t, "f=inside")
	canary := filepath.Join(t.TempDir(), "canary")
	if err := os.WriteFile(canary, []byte("safe"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := s.build("FROM base; RUN ln -s " + filepath.Dir(canary) + " /l && ln -s /l/canary /m; " +
		"RUN --mount=target=/l/x cat /l/x/f; RUN --mount=type=cache,target=/m/c,id=links true || true; RUN --mount=type=tmpfs,target=/l/t true")
	if b, err := os.ReadFile(canary); err != nil || string(b) != "safe" {
		t.Errorf("the canary is %q %v", b, err)
	}
	if names, _ := os.ReadDir(filepath.Dir(canary)); len(names) != 1 {
		t.Errorf("made outside: %v", names)
	}
	_ = r
	if !strings.Contains(s.out.String(), "inside") {
		t.Errorf("got %q", s.out.String())
	}
}

// TestCacheMountsRaced: two stages swap a source= of a shared cache mount between a directory and a link to the outside
// while others mount it (CVE-2024-23651).
func TestCacheMountsRaced(t *testing.T) {
	s := newSite(t)
	canary := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(canary, []byte("host secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	text := "FROM base AS swap; RUN --mount=type=cache,id=race,target=/c mkdir -p /c/d && ln -s " + filepath.Dir(canary) +
		" /c/l; RUN --mount=type=cache,id=race,target=/c for i in $(seq 300); do mv /c/d /c/t; mv /c/l /c/d; mv /c/t /c/l; done"
	for i := range 6 {
		text += fmt.Sprintf("; FROM base AS r%d; RUN --mount=type=cache,id=race,target=/m,source=d cat /m/secret || true", i)
	}
	text += "; FROM base; COPY --from=swap /etc/passwd /p"
	for i := range 6 {
		text += fmt.Sprintf("; COPY --from=r%d /etc/group /g%d", i, i)
	}
	_, err := s.try(text)
	if strings.Contains(s.out.String(), "host secret") {
		t.Error("a cache mount showed the host")
	}
	_ = err // a mount that fails because d is a link just then is fine
}

// TestIgnoreFileIsHostile: a .dockerignore that is a FIFO is an error at once, one that is a link out of the context is none.
func TestIgnoreFileIsHostile(t *testing.T) {
	s := newSite(t, "f=1")
	outside := filepath.Join(t.TempDir(), "patterns")
	if err := os.WriteFile(outside, []byte("f\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ignore := filepath.Join(s.dir, ".dockerignore")
	if err := os.Symlink(outside, ignore); err != nil {
		t.Fatal(err)
	}
	s.wantLayers(s.build("FROM base; COPY f /f"), "f=1")
	if err := errors.Join(os.Remove(ignore), syscall.Mkfifo(ignore, 0o644)); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if _, err := s.try("FROM base; COPY f /f"); err == nil || !strings.Contains(err.Error(), "not a regular file") || time.Since(begun) > 30*time.Second {
		t.Errorf("got %v after %v", err, time.Since(begun))
	}
}
