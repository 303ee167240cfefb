package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest is the identity of content: "sha256:" and 64 lower-case hex digits. A Digest made by ParseDigest, SumBytes or
// DigestOf is valid; one that came out of JSON is checked by the parser of the document around it. Only a valid digest may
// become a file name or a part of a request (CVE-2024-3727).
type Digest string

const digestPrefix = "sha256:"

// DigestError says that a string is not a digest moss accepts.
type DigestError struct{ Text string }

func (e *DigestError) Error() string {
	return fmt.Sprintf("invalid digest %q: want sha256: and 64 lower-case hex digits", shorten(e.Text))
}

// ParseDigest checks s strictly; a *DigestError otherwise.
func ParseDigest(s string) (Digest, error) {
	if d := Digest(s); d.Valid() {
		return d, nil
	}
	return "", &DigestError{s}
}

// Valid tells whether d is well formed.
func (d Digest) Valid() bool {
	h, ok := strings.CutPrefix(string(d), digestPrefix)
	return ok && IsID(h)
}

// Hex returns the 64 hex digits of a valid digest, and nothing of an invalid one.
func (d Digest) Hex() string {
	if !d.Valid() {
		return ""
	}
	return string(d[len(digestPrefix):])
}

// Short returns the 12 hex digits that tables show.
func (d Digest) Short() string {
	h := d.Hex()
	if h == "" {
		return ""
	}
	return h[:12]
}

// SumBytes returns the digest of b.
func SumBytes(b []byte) Digest {
	s := sha256.Sum256(b)
	return DigestOf(s[:])
}

// DigestOf makes a digest of a finished SHA-256 sum, 32 bytes.
func DigestOf(sum []byte) Digest { return Digest(digestPrefix + hex.EncodeToString(sum)) }

// IsID tells whether s is 64 lower-case hex digits: an image id without its prefix.
func IsID(s string) bool { return len(s) == sha256.Size*2 && IsIDPrefix(s) }

// IsIDPrefix tells whether s could be the beginning of an image id.
func IsIDPrefix(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != "" && len(s) <= sha256.Size*2
}

// ChainID returns the identity of a stack of layers, bottom first, as OCI's image specification defines it
// (config.md, "Layer ChainID"): the first diff id itself, then the digest of "chain diff".
func ChainID(diffIDs []Digest) Digest {
	if len(diffIDs) == 0 {
		return ""
	}
	chain := diffIDs[0]
	for _, d := range diffIDs[1:] {
		chain = SumBytes([]byte(string(chain) + " " + string(d)))
	}
	return chain
}

// shorten keeps foreign text in messages to a length a line can hold.
func shorten(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
