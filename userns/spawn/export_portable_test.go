//go:build portable || !(amd64 || arm64)

package spawn

import "errors"

// HasAssembler tells whether this build has an interpreter in assembler.
const HasAssembler = false

// StartUnder is for builds with one.
func (l *List) StartUnder(string, Options) (int, error) {
	return 0, errors.New("no interpreter in assembler")
}
