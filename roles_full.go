//go:build !hot

package main

import (
	"context"

	"github.com/moss-sandbox/moss/sandbox/engine/files"
	"github.com/moss-sandbox/moss/sandbox/engine/images"
	"github.com/moss-sandbox/moss/userns/role"
)

// runFull is the list of roles that only the full program has.
func runFull(ctx context.Context, inv *role.Invocation) error {
	if inv.Name == files.Role {
		return files.RunRole(ctx, inv)
	}
	return images.RunRole(ctx, inv)
}
