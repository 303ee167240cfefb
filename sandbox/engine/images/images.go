package images

import (
	"context"
	"fmt"

	"github.com/moss-sandbox/moss/userns/role"
)

// RunRole runs a role of the full program.
func RunRole(_ context.Context, inv *role.Invocation) error {
	return fmt.Errorf("unknown role %q", inv.Name)
}
