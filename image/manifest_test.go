package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func manifestJSON(layers ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","config":{"digest":"sha256:%s","size":2},"layers":[%s]}`,
		TypeOCIManifest, hex64, strings.Join(layers, ","))
}

func TestKind(t *testing.T) {
	layer := `{"digest":"sha256:` + hex64 + `","size":1}`
	index := `{"schemaVersion":2,"manifests":[]}`
	for _, c := range []struct {
		name, doc, contentType string
		index                  bool
		err                    error
	}{
		{"image", manifestJSON(layer), TypeOCIManifest, false, nil},
		{"image with charset", manifestJSON(layer), TypeOCIManifest + "; charset=utf-8", false, nil},
		{"index", index, TypeOCIIndex, true, nil},
		{"no type told", index, "", true, nil},
		{"generic type", index, "application/json", true, nil},
		{"both", `{"schemaVersion":2,"layers":[],"config":{},"manifests":[]}`, "", false, ErrManifest},
		{"neither", `{"schemaVersion":2}`, "", false, ErrManifest},
		{"type lies inside", `{"schemaVersion":2,"mediaType":"` + TypeOCIIndex + `","layers":[],"config":{}}`, "", false, ErrManifest},
		{"type lies outside", manifestJSON(layer), TypeOCIIndex, false, ErrManifest},
		{"types differ", manifestJSON(layer), TypeDockerManifest, false, ErrManifest},
		{"schema 1", `{"schemaVersion":1,"fsLayers":[]}`, "", false, ErrSchema1},
		{"schema 1 by fields", `{"schemaVersion":2,"fsLayers":[]}`, "", false, ErrSchema1},
		{"schema 3", `{"schemaVersion":3,"layers":[]}`, "", false, ErrManifest},
		{"array", `[]`, "", false, ErrManifest},
		{"huge", strings.Repeat(" ", MaxManifestBytes) + "{}", "", false, ErrManifest},
	} {
		got, err := Kind([]byte(c.doc), c.contentType)
		if !errors.Is(err, c.err) || err == nil && got != c.index {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, got, err, c.index, c.err)
		}
	}
}

func TestParseManifestRefuses(t *testing.T) {
	for name, doc := range map[string]string{
		"path as digest":   manifestJSON(`{"digest":"sha256:../../etc/passwd","size":1}`),
		"upper case":       manifestJSON(`{"digest":"sha256:` + strings.ToUpper(hex64) + `","size":1}`),
		"short":            manifestJSON(`{"digest":"sha256:abcd","size":1}`),
		"other algorithm":  manifestJSON(`{"digest":"md5:` + hex64 + `","size":1}`),
		"no digest":        manifestJSON(`{"size":1}`),
		"negative size":    manifestJSON(`{"digest":"sha256:` + hex64 + `","size":-1}`),
		"size of a string": manifestJSON(`{"digest":"sha256:` + hex64 + `","size":"1"}`),
		"too many layers":  manifestJSON(strings.TrimSuffix(strings.Repeat(`{"digest":"sha256:`+hex64+`","size":1},`, MaxLayers+1), ",")),
	} {
		if _, err := ParseManifest([]byte(doc), ""); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseManifest([]byte(`{"schemaVersion":2,"manifests":[]}`), ""); !errors.Is(err, ErrIndex) {
		t.Errorf("index as manifest: %v", err)
	}
}

func TestSelect(t *testing.T) {
	entry := func(i int, platform string) Descriptor {
		p, _, _ := strings.Cut(platform, " ")
		parts := append(strings.Split(p, "/"), "", "")
		return Descriptor{Size: int64(i), Platform: &Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}}
	}
	var x Index
	for i, p := range []string{"unknown/unknown", "linux/amd64", "linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "windows/amd64"} {
		x.Manifests = append(x.Manifests, entry(i, p))
	}
	for want, i := range map[string]int64{"linux/amd64": 1, "linux/arm/v7": 4, "linux/arm/v6": 3, "linux/arm": 4, "linux/arm64": 5, "x86_64": 1, "aarch64": 5, "arm64": 5} {
		p, err := ParsePlatform(want)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := x.Select(p); err != nil || d.Size != i {
			t.Errorf("%s: entry %d, %v; want %d", want, d.Size, err, i)
		}
	}
	_, err := x.Select(Platform{OS: "linux", Architecture: "s390x"})
	var pe *PlatformError
	if !errors.As(err, &pe) || !strings.Contains(err.Error(), "linux/arm/v6") || strings.Contains(err.Error(), "unknown") {
		t.Errorf("no such platform: %v", err)
	}
	if _, err := ParsePlatform("linux/amd64/v1/x"); err == nil {
		t.Error("four parts accepted")
	}
}

func TestConfig(t *testing.T) {
	in := `{"architecture":"amd64","os":"linux","config":{"ExposedPorts":{"80/tcp":{}},"Env":["A=b"],"Volumes":{"/v":{}},"StopSignal":"SIGINT",` +
		`"Healthcheck":{"Test":["CMD","x"],"Interval":30000000000},"OnBuild":["RUN y"],"StopTimeout":3,"Shell":["/bin/sh"]},` +
		`"rootfs":{"type":"layers","diff_ids":["sha256:` + hex64 + `"]},"history":[{"created_by":"x","empty_layer":true}]}`
	c, err := ParseConfig([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(c)
	if err != nil || string(out) != in {
		t.Errorf("read back as\n%s\nwant\n%s", out, in)
	}
	bad := strings.Repeat(`"X=1",`, maxEnv) + `"X=1"`
	for name, doc := range map[string]string{
		"diff id is a path": strings.Replace(in, hex64, "../x", 1),
		"NUL":               strings.Replace(in, "A=b", `A=\u0000`, 1),
		"many variables":    strings.Replace(in, `"A=b"`, bad, 1),
		"no json":           "x",
		"foreign rootfs":    strings.Replace(in, `"type":"layers"`, `"type":"x"`, 1),
	} {
		if _, err := ParseConfig([]byte(doc)); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Layers(&Manifest{}, c); !errors.Is(err, ErrConfig) {
		t.Errorf("layer counts differ: %v", err)
	}
}

func TestChainID(t *testing.T) {
	// The second value is from OCI's definition, computed with sha256sum.
	a, b := SumBytes([]byte("a")), SumBytes([]byte("b"))
	if ChainID([]Digest{a}) != a || ChainID(nil) != "" {
		t.Error("chain of one layer is its diff id, of none nothing")
	}
	want := SumBytes([]byte(string(a) + " " + string(b)))
	if got := ChainID([]Digest{a, b}); got != want {
		t.Errorf("chain %s, want %s", got, want)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(manifestJSON(`{"digest":"sha256:`+hex64+`","size":1}`)), TypeOCIManifest)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"x"}]}`), "")
	f.Fuzz(func(t *testing.T, b []byte, contentType string) {
		m, err := ParseManifest(b, contentType)
		if err == nil && !m.Config.Digest.Valid() {
			t.Fatal("invalid digest accepted")
		}
		if x, err2 := ParseIndex(b, contentType); err2 == nil && err == nil {
			t.Fatalf("both image and index: %v %v", m, x)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"os":"linux","config":{"Env":["a"]},"rootfs":{"diff_ids":["sha256:` + hex64 + `"]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseConfig(b)
		if err != nil {
			return
		}
		out, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseConfig(out); err != nil {
			t.Fatalf("re-encoding is refused: %v", err)
		}
	})
}
