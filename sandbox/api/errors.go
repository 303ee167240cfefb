package api

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/registry"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/slirp"
)

// A statusError is an error with the status it is answered with.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

func badRequest(format string, args ...any) error {
	return &statusError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &statusError{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) error {
	return &statusError{http.StatusConflict, fmt.Sprintf(format, args...)}
}

func noImage(ref string) error {
	if r, err := image.ParseRef(ref); err == nil {
		ref = r.Familiar()
	}
	return notFound("No such image: %s", ref)
}

// notModified says that there was nothing to do.
var errNotModified error = &statusError{code: http.StatusNotModified}

// otherwise is an error whose kind does not tell its status: it gets the one that this request's errors usually have.
func otherwise(code int, err error) error {
	if err == nil || statusOf(err) != http.StatusInternalServerError {
		return err
	}
	return &statusError{code, err.Error()}
}

// statusOf is the status of an error.
func statusOf(err error) int {
	var status *statusError
	var state *engine.StateError
	var name *sandbox.ConflictError
	var command *supervisor.CommandError
	var ambiguous *sandbox.AmbiguousError
	switch {
	case errors.As(err, &status):
		return status.code
	case errors.As(err, &state), errors.As(err, &name), errors.Is(err, store.ErrConflict), errors.Is(err, slirp.ErrExists), errors.Is(err, sandbox.ErrBusy):
		return http.StatusConflict
	case errors.As(err, &command), errors.As(err, &ambiguous), errors.Is(err, store.ErrAmbiguous):
		return http.StatusBadRequest
	case errors.Is(err, slirp.ErrBuiltIn):
		return http.StatusForbidden
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, store.ErrNotFound), errors.Is(err, slirp.ErrNotFound), errors.Is(err, registry.ErrNotFound), errors.Is(err, registry.ErrDenied):
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}
