//go:build !hot

package cli

import (
	"context"
	"errors"
)

// commandTable is every command.
func commandTable() []Command { return append(fast(), full()...) }

var errHeavy = errors.New("needs the full program")

// heavyOr is called in the full program already.
func (a *App) heavyOr(_ []string, here func() error) error { return here() }

// pullMissing pulls an image for run.
func (a *App) pullMissing(ctx context.Context, ref string) error { return a.pullForRun(ctx, ref) }
