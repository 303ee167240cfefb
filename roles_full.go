//go:build !hot

package main

import (
	"context"

	"github.com/moss-sandbox/moss/sandbox/engine/images"
	"github.com/moss-sandbox/moss/userns/role"
)

// runFull is the list of roles that only the full program has.
func runFull(ctx context.Context, inv *role.Invocation) error { return images.RunRole(ctx, inv) }
