package build

import "errors"

// hintsOf returns the hints that an error or what it wraps carries, as the command line finds them.
func hintsOf(err error) []string {
	for err != nil {
		if h, ok := err.(interface{ Hints() []string }); ok && len(h.Hints()) > 0 { //nolint:errorlint // each layer is looked at
			return h.Hints()
		}
		err = errors.Unwrap(err)
	}
	return nil
}
