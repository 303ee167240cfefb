//go:build !hot

package main

import (
	"context"
	"net"
	"time"

	"github.com/moss-sandbox/moss/sandbox/api"
	"github.com/moss-sandbox/moss/sandbox/cli"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/engine/files"
	"github.com/moss-sandbox/moss/sandbox/engine/images"
	"github.com/moss-sandbox/moss/slirp/program"
	"github.com/moss-sandbox/moss/slirp/program/inside"
	"github.com/moss-sandbox/moss/userns/role"
)

// server answers Docker's API.
func server() cli.Server {
	return func(ctx context.Context, e *engine.Engine, version string, ln net.Listener, idle time.Duration) error {
		return api.New(e, version).Serve(ctx, ln, idle)
	}
}

// runFull is the list of roles that only the full program has.
func runFull(ctx context.Context, inv *role.Invocation) error {
	switch inv.Name {
	case files.Role:
		return files.RunRole(ctx, inv)
	case program.Role:
		return inside.Run(ctx, inv)
	}
	return images.RunRole(ctx, inv)
}
