package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/moss-sandbox/moss/image"
)

// explain gives an error of the layers below its kind, one line of text and hints. Errors that have them, and the end of ctx,
// pass unchanged.
func explain(e endpoint, doing string, err error) error {
	var ours *Error
	var answer *transport.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours):
		return ours // without the request line http.Client puts before it
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &answer):
		return explainAnswer(e, doing, answer)
	}
	if tlsErr := explainTLS(e, doing, err); tlsErr != nil {
		return tlsErr
	}
	return explainNetwork(e, doing, err)
}

// explainAnswer is for answers of the registry (or its token server) that are refusals.
func explainAnswer(e endpoint, doing string, answer *transport.Error) error {
	text := doing + ": " + answerText(answer)
	switch {
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden || hasCode(answer, transport.DeniedErrorCode, transport.UnauthorizedErrorCode):
		return denied(e, "%s", text).hint("%s", loginCommand(e.registry))
	case answer.StatusCode == http.StatusNotFound:
		return fail(ErrNotFound, "%s", text)
	}
	return fail(ErrServer, "%s", text)
}

func explainTLS(e endpoint, doing string, err error) error {
	where := "/etc/docker/certs.d/" + e.host + "/ca.crt"
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &unknown):
		return fail(ErrTLS, "%s: certificate of %s is signed by an unknown authority", doing, e.host).
			hint("put the authority's certificate into ~/.docker/certs.d/%s/ca.crt or %s", e.host, where).
			hint("or, on a network you trust, add %q to the insecure registries", e.host)
	case errors.As(err, &wrongName):
		return fail(ErrTLS, "%s: certificate of %s is for another name", doing, e.host).because(wrongName)
	case errors.As(err, &invalid):
		return fail(ErrTLS, "%s: certificate of %s is not valid", doing, e.host).because(invalid).
			hint("check this machine's clock and the certificate's dates")
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"), errors.As(err, &record):
		return fail(ErrTLS, "%s: %s speaks plain http, not https: http: server gave HTTP response to HTTPS client", doing, e.host).
			hint("on a network you trust, add %q to the insecure registries", e.host)
	case errors.As(err, &alert):
		return fail(ErrTLS, "%s: %s ended the TLS handshake", doing, e.host).because(alert).
			hint("if it wants a client certificate, put client.cert and client.key into ~/.docker/certs.d/%s", e.host)
	}
	return nil
}

func explainNetwork(e endpoint, doing string, err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // the request line is noise beside what we say
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fail(ErrUnreachable, "%s: no address for %q", doing, dns.Name).because(err).
			hint("check the name, this machine's network and /etc/resolv.conf; behind a proxy set HTTPS_PROXY")
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fail(ErrUnreachable, "%s: cannot reach %s", doing, e.host).because(err).
			hint("check this machine's network; behind a proxy set HTTPS_PROXY")
	}
	return fail(ErrUnreachable, "%s: connection to %s", doing, e.host).because(errors.New(foreign(err.Error())))
}

// manifestError adds what Docker says when an image cannot be had.
func manifestError(e endpoint, ref image.Ref, err error) error {
	var ours *Error
	var answer *transport.Error
	if errors.As(err, &ours) || !errors.As(err, &answer) {
		if err != nil && strings.Contains(err.Error(), "does not match requested digest") {
			return fail(ErrDigest, "manifest of %s does not hash to the digest asked for", ref.Familiar()).
				hint("the registry or something on the way to it is broken or hostile; try again, or another network")
		}
		return explain(e, "getting "+ref.Familiar(), err)
	}
	switch {
	case hasCode(answer, transport.NameUnknownErrorCode):
		return fail(ErrNotFound, "repository %s not found: %s", ref.FamiliarName(), answerText(answer))
	case answer.StatusCode == http.StatusNotFound:
		text := answerText(answer)
		if len(answer.Errors) == 0 {
			text = "manifest unknown: manifest unknown"
		}
		return fail(ErrNotFound, "manifest for %s not found: %s", ref.Familiar(), text).
			hint("moss search finds repositories; a registry's web page lists the tags")
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return denied(e, "pull access denied for %s, repository does not exist or may require 'docker login': %s", ref.FamiliarName(), answerText(answer)).
			hint("check the name; if the repository is private: %s", loginCommand(e.registry))
	}
	return explain(e, "getting "+ref.Familiar(), err)
}

// badManifest wraps what package image says about a document.
func badManifest(ref image.Ref, err error) error {
	wrapped := fail(err, "%s", ref.Familiar()).because(err)
	if errors.Is(err, image.ErrSchema1) {
		return wrapped.hint("schema 1 images cannot be verified; ask for a newer tag or rebuild the image")
	}
	return wrapped
}

// fmtManifest is an error that wraps image.ErrManifest.
func fmtManifest(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{image.ErrManifest}, args...)...)
}

// answerText is a registry's refusal as Docker prints it: "manifest unknown: manifest unknown".
func answerText(answer *transport.Error) string {
	if len(answer.Errors) > 0 {
		var parts []string
		for _, d := range answer.Errors[:min(len(answer.Errors), 3)] {
			parts = append(parts, strings.ToLower(strings.ReplaceAll(string(d.Code), "_", " "))+": "+d.Message)
		}
		return foreign(strings.Join(parts, "; "))
	}
	if answer.StatusCode == http.StatusNotFound {
		return "not found"
	}
	if answer.StatusCode == http.StatusUnauthorized {
		return "unauthorized: authentication required"
	}
	return "unexpected status " + strings.TrimSpace(http.StatusText(answer.StatusCode))
}

// registryMessage finds the text in an error body: the registry's JSON, a token server's JSON, else nothing.
func registryMessage(body []byte) string {
	var doc struct {
		Errors  []struct{ Message string }
		Details string
		Message string
	}
	if json.Unmarshal(body, &doc) != nil {
		return ""
	}
	for _, e := range doc.Errors {
		if e.Message != "" {
			return foreign(e.Message)
		}
	}
	if doc.Details != "" {
		return foreign(doc.Details)
	}
	return foreign(doc.Message)
}

func hasCode(answer *transport.Error, codes ...transport.ErrorCode) bool {
	for _, d := range answer.Errors {
		for _, code := range codes {
			if d.Code == code {
				return true
			}
		}
	}
	return false
}

// denied mentions a credential helper that did not work, since then we asked without credentials.
func denied(e endpoint, format string, args ...any) *Error {
	err := fail(ErrDenied, format, args...)
	if e.trouble != nil {
		err.hint("asked without credentials, because of %s", e.trouble)
	}
	return err
}

// loginCommand is what to type to log in; Docker Hub needs no name.
func loginCommand(registry string) string {
	if registry == hubName {
		return "moss login"
	}
	return "moss login " + registry
}
