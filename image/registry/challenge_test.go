package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestParseChallenges(t *testing.T) {
	cases := []struct{ name, header, want string }{
		{"empty", ``, ``},
		{"basic", `Basic realm="x"`, `basic[realm=x]`},
		{"bearer", `Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"`, `bearer[realm=https://a/t scope=repository:a/b:pull,push service=s]`},
		{"spaces", `  Bearer   realm = "x" ,  service=y `, `bearer[realm=x service=y]`},
		{"case", `BEARER REALM="X"`, `bearer[realm=X]`},
		{"two", `Negotiate, Basic realm="x"`, `negotiate[] basic[realm=x]`},
		{"two with parameters", `Bearer realm="a", Bearer realm="b"`, `bearer[realm=a] bearer[realm=b]`},
		{"quoted pair", `Bearer realm="a\"b\\"`, `bearer[realm=a"b\]`},
		{"open quote", `Bearer realm="a`, `bearer[]`},
		{"parameter twice", `Bearer realm="a",realm="b"`, `bearer[realm=a]`},
		{"no value", `Bearer realm=`, `bearer[]`},
		{"rubbish", `"Bearer" realm`, ``},
		{"comma in quotes", `Bearer realm="a,b",x=y`, `bearer[realm=a,b x=y]`},
	}
	for _, tc := range cases {
		var got []string
		for _, c := range parseChallenges(tc.header) {
			got = append(got, c.scheme+strings.TrimPrefix(fmt.Sprint(c.params), "map"))
		}
		for i := range got {
			got[i] = strings.ReplaceAll(got[i], ":", "=")
		}
		want := strings.ReplaceAll(tc.want, ":", "=")
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, want %s", tc.name, text, want)
		}
	}
}

// FuzzWWWAuthenticate sends a header through our reader, our guard and go-containerregistry's handshake, with a password in hand. No
// host may be asked that the header names on a forbidden address, and the password goes nowhere but to a realm over HTTPS.
func FuzzWWWAuthenticate(f *testing.F) {
	for _, seed := range []string{
		`Basic realm="x"`, `Bearer realm="https://auth.example/token",service="s"`, `Bearer realm="http://auth.example/t"`,
		`Bearer realm="https://127.0.0.1/t"`, `Bearer realm="https://169.254.169.254/",realm="https://auth.example/"`, `bearer realm=https`,
		`Negotiate, Bearer realm="https://[::1]/"`, `Bearer realm="https://u@10.0.0.1/"`, `Bearer x="`, `Bearer realm="https://3132372e302e302e31.realm.invalid/"`,
		"Bearer realm=\"https://a\\\"@127.0.0.1/\"", `Bearer realm="//127.0.0.1/t"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, c := range parseChallenges(header) {
			if c.scheme == "" {
				t.Fatal("a challenge without scheme")
			}
		}
		c := New(Config{Patience: quick})
		e := endpoint{registry: registryName, host: registryName, schemes: onlyHTTPS}
		w, err := c.wire(e, "https")
		if err != nil {
			t.Fatal(err)
		}
		w.transport.ForceAttemptHTTP2 = false
		w.transport.RegisterProtocol("https", answering(t, header))
		w.transport.RegisterProtocol("http", answering(t, header))
		_, _ = c.open(t.Context(), e, "app", Login{Username: "u", Password: "p"}.authenticator(), "repository:app:pull")
	})
}

// answering is a transport whose registry asks for authentication by header and whose other hosts give tokens; it fails the test on
// requests that must not be made.
func answering(t *testing.T, header string) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req, ProtoMajor: 1, ProtoMinor: 1}
		if req.URL.Host == registryName {
			answer.StatusCode = http.StatusUnauthorized
			answer.Header.Set("WWW-Authenticate", header)
		}
		if req.URL.Scheme != "https" {
			t.Errorf("header %q leads to %s", header, req.URL)
		}
		if k := classOfName(req.URL.Hostname()); k != public {
			t.Errorf("header %q leads to %s, which is %v", header, req.URL, k)
		}
		if u, err := url.Parse(req.URL.String()); err == nil && u.User != nil {
			t.Errorf("header %q leads to a URL with a user: %s", header, u)
		}
		return answer, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
