//go:build hot

package main

import (
	"context"
	"fmt"

	"github.com/moss-sandbox/moss/userns/role"
)

// runFull refuses: the full program's roles are started by itself.
func runFull(_ context.Context, inv *role.Invocation) error {
	return fmt.Errorf("unknown role %q", inv.Name)
}
