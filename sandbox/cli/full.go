//go:build !hot

package cli

import (
	"context"
	"errors"
)

// full are the commands that only the full program has.
func full() []Command { return nil }

func (a *App) psFull(context.Context, psOptions) error  { return errors.New("x") }
func (a *App) versionFull(string) error                 { return errors.New("x") }
func (a *App) pullForRun(context.Context, string) error { return errors.New("x") }
