package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer/compress"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/image/worker"
)

func require(t *testing.T, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("MOSS_TEST_MUST_RUN") == "1":
		t.Fatal("needs " + what)
	default:
		t.Skip("needs " + what)
	}
}

func open(t *testing.T) (*store.Store, *store.Session) {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "data"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ss, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ss.End() })
	return s, ss
}

func unpack() store.Fetch { return store.Fetch{MapKey: "own", Worker: worker.Local{}} }

// rootfs is a file system of a few files, the largest of size bytes.
func rootfs(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, body := range map[string]string{"etc/name": "moss", "big": strings.Repeat("0123456789abcdef", size/16)} {
		w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body)), ModTime: time.Unix(1, 0)})
		w.Write([]byte(body))
	}
	w.Close()
	return b.Bytes()
}

func imported(t *testing.T, ss *store.Session, size int, names ...string) *store.Image {
	t.Helper()
	refs, err := parseNames(names)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Import(t.Context(), bytes.NewReader(rootfs(t, size)), ss, unpack(), ImportOptions{
		Platform: image.HostPlatform(), Created: time.Unix(5, 0).UTC(), Names: refs, Settings: image.Settings{Cmd: []string{"/bin/sh"}}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func content(t *testing.T, s *store.Store, m *store.Image, name string) string {
	t.Helper()
	dirs, err := s.Lowers(m, "own")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(dirs[0] + "/" + name)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// TestSaveLoad: what is saved is loaded as the same images under the same names, plain and compressed.
func TestSaveLoad(t *testing.T) {
	s, ss := open(t)
	a, b := imported(t, ss, 3<<20, "x.io/a:1", "a:2"), imported(t, ss, 32)
	items := []Item{{a, mustNames(t, "x.io/a:1", "a:2")}, {b, nil}}
	var saved, again bytes.Buffer
	if err := errors.Join(Save(t.Context(), &saved, s, items), Save(t.Context(), &again, s, items)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(saved.Bytes(), again.Bytes()) {
		t.Error("two saves differ")
	}
	for _, f := range []compress.Format{compress.Plain, compress.Gzip, compress.Zstd} {
		for _, kind := range []string{"oci", "docker"} {
			s2, ss2 := open(t)
			in := saved.Bytes()
			if kind == "docker" {
				in = without(t, in, layoutFile)
			}
			var packed bytes.Buffer
			w, _ := compress.NewWriter(&packed, f)
			w.Write(in)
			w.Close()
			got, err := Load(t.Context(), &packed, ss2, unpack(), image.HostPlatform())
			if err != nil || len(got) != 2 || len(got[0].Names) != 2 || got[0].Image.ID != a.ID || got[1].Image.ID != b.ID {
				t.Fatalf("%s, %v: %+v, %v", kind, f, got, err)
			}
			m, err := s2.Lookup("a:2")
			if err != nil || content(t, s2, m, "etc/name") != "moss" {
				t.Errorf("%s, %v: %v", kind, f, err)
			}
		}
	}
}

func mustNames(t *testing.T, names ...string) []image.Ref {
	t.Helper()
	r, err := parseNames(names)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// without copies a tar file but for one member.
func without(t *testing.T, in []byte, name string) []byte {
	t.Helper()
	return rewrite(t, in, func(h *tar.Header, b []byte) []byte {
		if h.Name == name {
			return nil
		}
		return b
	})
}

func rewrite(t *testing.T, in []byte, f func(*tar.Header, []byte) []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for tr := tar.NewReader(bytes.NewReader(in)); ; {
		h, err := tr.Next()
		if err != nil {
			break
		}
		var b bytes.Buffer
		b.ReadFrom(tr)
		if c := f(h, b.Bytes()); c != nil {
			h.Size = int64(len(c))
			w.WriteHeader(h)
			w.Write(c)
		}
	}
	w.Close()
	return out.Bytes()
}

// TestLoadLegacy: archives of old dockers name layers by directory and link equal ones.
func TestLoadLegacy(t *testing.T) {
	s, ss := open(t)
	fs := rootfs(t, 2<<20)
	d := string(image.SumBytes(fs))
	config := []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + d + `","` + d + `"]}}`)
	list, _ := json.Marshal([]dockerImage{{Config: "c.json", RepoTags: []string{"old:1"}, Layers: []string{"aa/layer.tar", "bb/layer.tar"}}})
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	member := func(name string, body []byte) {
		w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))})
		w.Write(body)
	}
	member("aa/VERSION", []byte("1.0"))
	member("aa/layer.tar", fs)
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bb/layer.tar", Linkname: "../aa/layer.tar"})
	member("c.json", config)
	member("manifest.json", list)
	w.Close()
	got, err := Load(t.Context(), &b, ss, unpack(), image.HostPlatform())
	if err != nil || len(got) != 1 || got[0].Image.ID != image.SumBytes(config) {
		t.Fatalf("%+v, %v", got, err)
	}
	if m, err := s.Lookup("old:1"); err != nil || content(t, s, m, "etc/name") != "moss" {
		t.Error(err)
	}
}

func TestLoadRefuses(t *testing.T) {
	s, ss := open(t)
	m := imported(t, ss, 2<<20, "a:1")
	var saved bytes.Buffer
	if err := Save(t.Context(), &saved, s, []Item{{m, m.Names}}); err != nil {
		t.Fatal(err)
	}
	edit := func(member, from, to string) []byte {
		return rewrite(t, saved.Bytes(), func(h *tar.Header, b []byte) []byte {
			if strings.HasPrefix(h.Name, member) {
				return bytes.ReplaceAll(b, []byte(from), []byte(to))
			}
			return b
		})
	}
	docker := func(b []byte) []byte { return without(t, b, layoutFile) }
	layer, config := m.Layers[0].Digest.Hex(), m.ID.Hex()
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"empty", nil, ErrArchive},
		{"no tar", []byte(strings.Repeat("x", 2000)), ErrArchive},
		{"other tar", rootfs(t, 16), ErrArchive},
		{"layer is a path", docker(edit(manifestFile, "blobs/sha256/"+layer, "../x")), ErrArchive},
		{"layer is absolute", docker(edit(manifestFile, "blobs/sha256/"+layer, "/etc/passwd")), ErrArchive},
		{"config is a path", docker(edit(manifestFile, "blobs/sha256/"+config, "../../x")), ErrArchive},
		{"name is none", docker(edit(manifestFile, "[]", `["../x"]`)), image.ErrRefFormat},
		{"layer count", docker(edit(manifestFile, `"Layers":[`, `"Layers":["x",`)), image.ErrConfig},
		{"layer's bytes", docker(edit("blobs/sha256/"+layer, "moss", "evil")), store.ErrMismatch},
		{"layer's bytes in a layout", edit("blobs/sha256/"+layer, "moss", "evil"), store.ErrMismatch},
		{"config's bytes in a layout", edit("blobs/sha256/"+config, "linux", "xinul"), store.ErrMismatch},
		{"manifest's digest is a path", edit(indexFile, "sha256:"+m.Manifest.Digest.Hex(), "sha256:../x"), image.ErrManifest},
		{"index that is a manifest", edit(indexFile, `"manifests"`, `"layers":[],"manifests"`), image.ErrManifest},
	} {
		s2, ss2 := open(t)
		if _, err := Load(t.Context(), bytes.NewReader(c.in), ss2, unpack(), image.HostPlatform()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err := ss2.End(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if left, _ := os.ReadDir(s2.Root() + "/blobs/sha256"); len(left) != 0 {
			t.Errorf("%s: %d blobs left", c.name, len(left))
		}
	}
}

// TestSkopeo: skopeo reads what is saved here, in both its forms, and what it writes is loaded here.
func TestSkopeo(t *testing.T) {
	_, err := exec.LookPath("skopeo")
	require(t, err == nil, "skopeo")
	s, ss := open(t)
	m := imported(t, ss, 2<<20, "x.io/a:1")
	dir := t.TempDir()
	f, _ := os.Create(dir + "/saved.tar")
	if err := errors.Join(Save(t.Context(), f, s, []Item{{m, mustNames(t, "x.io/a:1")}}), f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to string }{
		{"docker-archive:" + dir + "/saved.tar", "oci-archive:" + dir + "/b.tar:x.io/a:2"},
		{"oci-archive:" + dir + "/saved.tar", "docker-archive:" + dir + "/c.tar:x.io/a:3"},
	} {
		if out, err := exec.Command("skopeo", "--insecure-policy", "copy", c.from, c.to).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", c.from, err, out)
		}
	}
	for _, name := range []string{"b.tar", "c.tar"} {
		s2, ss2 := open(t)
		in, err := os.Open(dir + "/" + name)
		if err != nil {
			continue
		}
		got, err := Load(t.Context(), in, ss2, unpack(), image.HostPlatform())
		in.Close()
		if err != nil || len(got) != 1 || len(got[0].Names) != 1 || content(t, s2, got[0].Image, "etc/name") != "moss" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
