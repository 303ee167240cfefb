package registry

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// The kinds of failure a caller can tell apart with errors.Is. Malformed or ambiguous manifests, schema 1, a config that contradicts
// its manifest and a missing platform answer to image.ErrManifest, image.ErrSchema1, image.ErrConfig and *image.PlatformError.
var (
	ErrNotFound    = errors.New("not found")             // no such repository, tag or digest
	ErrDenied      = errors.New("access denied")         // wrong, missing or insufficient credentials
	ErrRateLimited = errors.New("rate limited")          // Error.Wait says how long, when known
	ErrUnreachable = errors.New("registry unreachable")  // no name, no route, no answer, connection lost again and again
	ErrTLS         = errors.New("certificate trouble")   // unknown authority, wrong name, or no TLS at all
	ErrServer      = errors.New("registry error")        // an answer outside the protocol, or a 5xx
	ErrUnsafe      = errors.New("refused for safety")    // a realm, redirect or address we do not follow
	ErrDigest      = errors.New("digest mismatch")       // bytes are not the ones the digest names
	ErrSize        = errors.New("size mismatch")         // more or fewer bytes than the descriptor says
	ErrStalled     = errors.New("download stalled")      // the connection stands but (almost) nothing arrives
	ErrTooLarge    = errors.New("over the limit")        // an answer larger than image.MaxManifestBytes or the like
	ErrNotImage    = errors.New("not a container image") // an artifact of another kind
	ErrCredentials = errors.New("credential store")      // config.json or a credential helper does not work
)

// Error is a failure with its kind, for errors.Is, and hints for the user.
type Error struct {
	Kind  error         // one of the kinds above
	Text  string        // the message; says all that Cause does not
	Wait  time.Duration // with ErrRateLimited: when to try again; 0 if the registry does not say
	Cause error         // may be nil
	hints []string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Text
	}
	return e.Text + ": " + e.Cause.Error()
}

// Unwrap makes both the kind and the cause answer to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Hints says what the user can do about it; empty if we know nothing.
func (e *Error) Hints() []string { return e.hints }

func fail(kind error, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

func (e *Error) because(cause error) *Error { e.Cause = cause; return e }

func (e *Error) hint(format string, args ...any) *Error {
	e.hints = append(e.hints, fmt.Sprintf(format, args...))
	return e
}

// maxForeign bounds what a registry may put into one of our messages.
const maxForeign = 300

// foreign makes text from a registry fit for a message: one line, printable, short. Escape sequences, bidi controls and newlines
// become spaces (reliability.md part 2, row 43).
func foreign(s string) string {
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	clean = strings.Join(strings.Fields(clean), " ")
	if len(clean) <= maxForeign {
		return clean
	}
	return strings.ToValidUTF8(clean[:maxForeign], "") + "…"
}
