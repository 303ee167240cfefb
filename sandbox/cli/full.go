//go:build !hot

package cli

import (
	"context"
	"errors"
)

// full are the commands that only the full program has.
func full() []Command {
	return []Command{
		pullCommand, pushCommand, imagesCommand, rmiCommand, tagCommand, historyCommand, loginCommand, logoutCommand,
	}
}

func (a *App) psFull(context.Context, psOptions) error { return errors.New("x") }
func (a *App) versionFull(string) error                { return errors.New("x") }
