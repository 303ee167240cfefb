package context

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// MaxDownload is how much ADD fetches from one URL, in bytes.
const MaxDownload = 64 << 30

// IsURL tells whether a source is fetched over HTTP.
func IsURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

// A Download is a file fetched from a URL.
type Download struct {
	Name   string // in its directory
	SHA256 string // of its content, hex
}

// Fetch downloads rawURL into dir, with mode 0600 and the time the server gives, as ADD wants. A checksum "sha256:…" is
// verified; on any error nothing stays.
func Fetch(ctx context.Context, client *http.Client, rawURL, checksum, dir string) (Download, error) {
	want, err := parseChecksum(checksum)
	if err != nil {
		return Download{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return Download{}, fmt.Errorf("fetching %q: %w", rawURL, err)
	}
	res, err := client.Do(req)
	if err != nil {
		return Download{}, fmt.Errorf("fetching: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return Download{}, fmt.Errorf("fetching %q: invalid response status %d", rawURL, res.StatusCode)
	}
	d := Download{Name: nameOf(rawURL)}
	file := filepath.Join(dir, d.Name)
	if d.SHA256, err = save(file, res, want); err != nil {
		os.Remove(file)
		return Download{}, fmt.Errorf("fetching %q: %w", rawURL, err)
	}
	return d, nil
}

// nameOf is the last part of the URL's path, as in BuildKit.
func nameOf(rawURL string) string {
	if u, err := url.Parse(rawURL); err == nil {
		if base := path.Base(u.Path); base != "." && base != "/" && base != ".." {
			return base
		}
	}
	return "__unnamed__"
}

func parseChecksum(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	sum, ok := strings.CutPrefix(s, "sha256:")
	if b, err := hex.DecodeString(sum); !ok || err != nil || len(b) != sha256.Size {
		return "", fmt.Errorf("invalid checksum %q: want sha256: and 64 hex digits", s)
	}
	return strings.ToLower(sum), nil
}

func save(file string, res *http.Response, want string) (string, error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(res.Body, MaxDownload+1))
	if err != nil {
		return "", err
	}
	if n > MaxDownload {
		return "", fmt.Errorf("more than %d bytes", int64(MaxDownload))
	}
	got := hex.EncodeToString(h.Sum(nil))
	if want != "" && got != want {
		return "", fmt.Errorf("digest mismatch sha256:%s: sha256:%s", got, want)
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	at := time.Unix(0, 0)
	if t, err := http.ParseTime(res.Header.Get("Last-Modified")); err == nil {
		at = t
	}
	return got, os.Chtimes(file, at, at)
}
