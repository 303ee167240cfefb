//go:build hot

package main

import (
	"context"
	"fmt"

	_ "github.com/moss-sandbox/moss/internal/prefault" // before all else: the heap and the text of a short command
	"github.com/moss-sandbox/moss/sandbox/cli"
	"github.com/moss-sandbox/moss/userns/role"
)

// server is the full program's.
func server() cli.Server { return nil }

// runFull refuses: the full program's roles are started by itself.
func runFull(_ context.Context, inv *role.Invocation) error {
	return fmt.Errorf("unknown role %q", inv.Name)
}
