package image

import (
	"regexp"
	"strings"
	"testing"
)

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseRef(t *testing.T) {
	dig := "sha256:" + hex64
	for _, c := range []struct{ in, full, familiar string }{
		{"alpine", "docker.io/library/alpine:latest", "alpine:latest"},
		{"alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"},
		{"user/app", "docker.io/user/app:latest", "user/app:latest"},
		{"library/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
		{"library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
		{"index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
		{"docker.io/alpine:1", "docker.io/library/alpine:1", "alpine:1"},
		{"localhost/x", "localhost/x:latest", "localhost/x:latest"},
		{"localhost:5000/x/y:T", "localhost:5000/x/y:T", "localhost:5000/x/y:T"},
		{"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"},
		{"UPPER/x", "UPPER/x:latest", "UPPER/x:latest"},
		{"quay.io/a/b/c:v1", "quay.io/a/b/c:v1", "quay.io/a/b/c:v1"},
		{"a__b-c--d.e_f", "docker.io/library/a__b-c--d.e_f:latest", "a__b-c--d.e_f:latest"},
		{"alpine@" + dig, "docker.io/library/alpine@" + dig, "alpine@" + dig},
		{"alpine:3@" + dig, "docker.io/library/alpine:3@" + dig, "alpine:3@" + dig},
		{"alpine:" + strings.Repeat("t", 128), "docker.io/library/alpine:" + strings.Repeat("t", 128), "alpine:" + strings.Repeat("t", 128)},
	} {
		r, err := ParseRef(c.in)
		if err != nil || r.String() != c.full || r.Familiar() != c.familiar {
			t.Errorf("ParseRef(%q) = %q, %q, %v; want %q, %q", c.in, r.String(), r.Familiar(), err, c.full, c.familiar)
		}
	}
}

func TestParseRefRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "invalid reference format",
		"Alpine":                     "invalid reference format: repository name (library/Alpine) must be lowercase",
		"a/B:x":                      "invalid reference format: repository name (a/B) must be lowercase",
		"alpine:":                    "invalid reference format",
		"alpine:-x":                  "invalid reference format",
		"alpine:a:b":                 "invalid reference format",
		"a//b":                       "invalid reference format",
		"a/../b":                     "invalid reference format",
		"../a":                       "invalid reference format",
		"-a":                         "invalid reference format",
		"a___b":                      "invalid reference format",
		"a.-b":                       "invalid reference format",
		"a..b":                       "invalid reference format",
		"http://x.y/z":               "invalid reference format",
		"a b":                        "invalid reference format",
		"x.y:port/z":                 "invalid reference format",
		"x.y:/z":                     "invalid reference format",
		"a\x00b":                     "invalid reference format",
		"alpine@sha256":              "invalid reference format: invalid digest",
		"alpine@sha256:" + hex64[1:]: "invalid reference format: invalid digest",
		"alpine@sha256:" + strings.ToUpper(hex64): "invalid reference format: invalid digest",
		"alpine@sha512:" + hex64 + hex64:          "invalid reference format: invalid digest",
		"alpine@sha256:../../" + hex64[6:]:        "invalid reference format",
		"alpine:" + strings.Repeat("t", 129):      "invalid reference format",
		"x.io/" + strings.Repeat("a", 256):        "repository name must not be more than 255 characters",
		hex64:                                     "invalid repository name (" + hex64 + "), cannot specify 64-byte hexadecimal strings",
	} {
		if _, err := ParseRef(in); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("ParseRef(%q): %v; want %q", in, err, want)
		}
	}
}

// grammar is distribution/reference's, as one expression, for the digests moss accepts.
var grammar = func() *regexp.Regexp {
	host := `(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?`
	comp := `[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*`
	return regexp.MustCompile(`^` + host + `/` + comp + `(?:/` + comp + `)*(?::\w[\w.-]{0,127})?(?:@sha256:[a-f0-9]{64})?$`)
}()

func FuzzRef(f *testing.F) {
	for _, s := range []string{"alpine", "a/b:c", "[::1]:5/x", "x.y:1/a__b-c@sha256:" + hex64, "a_-b", "A/b", ":x", "@", "a:1/b:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			return
		}
		if !grammar.MatchString(r.String()) {
			t.Fatalf("%q became %q, which is no reference", s, r)
		}
		for _, again := range []string{r.String(), r.Familiar()} {
			if q, err := ParseRef(again); err != nil || q != r {
				t.Fatalf("%q: %q reads back as %q, %v", s, again, q, err)
			}
		}
	})
}

// TestGrammar compares with the expression over all short strings of the letters that matter.
func TestGrammar(t *testing.T) {
	letters := "aA._-/:"
	var walk func(s string, depth int)
	walk = func(s string, depth int) {
		full := "x.y/" + s
		_, err := ParseRepository(full)
		if ok := grammar.MatchString(full); ok != (err == nil) {
			t.Errorf("%q: expression says %v, parser says %v", full, ok, err)
		}
		for i := 0; depth > 0 && i < len(letters); i++ {
			walk(s+letters[i:i+1], depth-1)
		}
	}
	walk("", 5)
}
