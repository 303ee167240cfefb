package image

import (
	"errors"
	"fmt"
	"strings"
)

// Ref is the name of an image, complete: docker.io/library/alpine:latest is what "alpine" means. At least one of Tag and
// Digest is set in what ParseRef returns; neither is in what ParseRepository returns.
type Ref struct {
	Domain string // host[:port] of the registry
	Path   string // repository below it
	Tag    string
	Digest Digest
}

const (
	// DefaultDomain is where names without a registry live.
	DefaultDomain = "docker.io"
	// DefaultTag is the tag of names without one.
	DefaultTag = "latest"

	legacyDomain   = "index.docker.io"
	officialPrefix = "library/"
	maxNameBytes   = 255
	maxTagBytes    = 128
)

// Errors of names, with Docker's texts (distribution/reference).
var (
	ErrRefFormat  = errors.New("invalid reference format")
	ErrRefTooLong = fmt.Errorf("repository name must not be more than %d characters", maxNameBytes)
)

// ParseRef reads a name as Docker does: a missing registry is docker.io, a single component lies in library/, a missing
// tag (without a digest) is latest. Errors wrap ErrRefFormat or ErrRefTooLong, or say what to write instead.
func ParseRef(s string) (Ref, error) {
	r, err := ParseRepository(s)
	if err == nil && r.Tag == "" && r.Digest == "" {
		r.Tag = DefaultTag
	}
	return r, err
}

// ParseRepository is ParseRef without the default tag: what `pull -a`, `search` and `images NAME` take.
func ParseRepository(s string) (Ref, error) {
	if IsID(s) {
		return Ref{}, fmt.Errorf("invalid repository name (%s), cannot specify 64-byte hexadecimal strings", s)
	}
	domain, rest := splitDomain(s)
	if remote, _, _ := strings.Cut(rest, ":"); strings.ToLower(remote) != remote {
		return Ref{}, fmt.Errorf("%w: repository name (%s) must be lowercase", ErrRefFormat, shorten(remote))
	}
	r := Ref{Domain: domain}
	var dig string
	rest, dig, hasDigest := strings.Cut(rest, "@")
	r.Path, r.Tag, _ = strings.Cut(rest, ":")
	if strings.HasSuffix(rest, ":") && r.Tag == "" || !validDomain(domain) || !validPath(r.Path) || r.Tag != "" && !validTag(r.Tag) {
		return Ref{}, ErrRefFormat
	}
	if len(r.Domain)+1+len(r.Path) > maxNameBytes {
		return Ref{}, ErrRefTooLong
	}
	if hasDigest {
		if !Digest(dig).Valid() {
			return Ref{}, fmt.Errorf("%w: %w", ErrRefFormat, &DigestError{dig})
		}
		r.Digest = Digest(dig)
	}
	return r, nil
}

// splitDomain decides whether the first component is a registry, with Docker's rules: it has a dot or a colon, is
// "localhost", or has upper-case letters, which no namespace may have.
func splitDomain(s string) (domain, rest string) {
	first, remote, ok := strings.Cut(s, "/")
	switch {
	case !ok:
		return DefaultDomain, officialPrefix + s
	case first == legacyDomain:
		domain, rest = DefaultDomain, remote
	case first == "localhost", strings.ContainsAny(first, ".:"), strings.ToLower(first) != first:
		domain, rest = first, remote
	default:
		domain, rest = DefaultDomain, s
	}
	if domain == DefaultDomain && !strings.Contains(rest, "/") {
		rest = officialPrefix + rest
	}
	return domain, rest
}

// Name returns registry and repository, docker.io/library/alpine.
func (r Ref) Name() string { return r.Domain + "/" + r.Path }

// String returns the complete name; ParseRef of it gives r again.
func (r Ref) String() string { return r.suffix(r.Name()) }

// FamiliarName returns the repository as Docker shows it: alpine, user/app, quay.io/user/app.
func (r Ref) FamiliarName() string {
	if r.Domain != DefaultDomain {
		return r.Name()
	}
	if p, ok := strings.CutPrefix(r.Path, officialPrefix); ok && !strings.Contains(p, "/") {
		return p
	}
	return r.Path
}

// Familiar returns the name as Docker shows it: alpine:latest.
func (r Ref) Familiar() string { return r.suffix(r.FamiliarName()) }

// WithTag returns r under another tag and without digest.
func (r Ref) WithTag(tag string) Ref { r.Tag, r.Digest = tag, ""; return r }

// WithDigest returns r by digest, without tag.
func (r Ref) WithDigest(d Digest) Ref { r.Tag, r.Digest = "", d; return r }

func (r Ref) suffix(name string) string {
	if r.Tag != "" {
		name += ":" + r.Tag
	}
	if r.Digest != "" {
		name += "@" + string(r.Digest)
	}
	return name
}

// validTag is [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}.
func validTag(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '_' && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return s != "" && len(s) <= maxTagBytes
}

// validPath is components of lower-case letters and digits, joined inside by one dot, one or two underscores or any number
// of dashes, separated by slashes.
func validPath(s string) bool {
	for c := range strings.SplitSeq(s, "/") {
		if !validComponent(c) {
			return false
		}
	}
	return true
}

func validComponent(s string) bool {
	for i := 0; i < len(s); {
		start := i
		for i < len(s) && isLowerAlnum(s[i]) {
			i++
		}
		if i == start { // a separator must stand between two words
			return false
		}
		sep := i
		for i < len(s) && !isLowerAlnum(s[i]) {
			i++
		}
		if !validSeparator(s[sep:i]) || i == len(s) && sep < i {
			return false
		}
	}
	return s != ""
}

func validSeparator(s string) bool {
	return s == "" || s == "." || s == "_" || s == "__" || strings.Trim(s, "-") == ""
}

// validDomain is a host name or an IPv6 address in brackets, and perhaps a port.
func validDomain(s string) bool {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
		if port == "" || strings.Trim(port, "0123456789") != "" {
			return false
		}
	}
	if v6, ok := strings.CutPrefix(host, "["); ok {
		v6, ok = strings.CutSuffix(v6, "]")
		return ok && v6 != "" && strings.Trim(v6, "0123456789abcdefABCDEF:") == ""
	}
	for c := range strings.SplitSeq(host, ".") {
		if !validHostComponent(c) {
			return false
		}
	}
	return true
}

func validHostComponent(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && (c != '-' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return s != ""
}

func isLowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
func isAlnum(c byte) bool      { return isLowerAlnum(c) || c >= 'A' && c <= 'Z' }
