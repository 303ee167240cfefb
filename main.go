// Command moss runs containers without root, with the command line that everyone knows from Docker.
//
// Reading order: this file → sandbox/engine/create.go and start.go → sandbox/guest → userns/spawn → sandbox/supervisor.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/moss-sandbox/moss/sandbox/cli"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/slirp/switchd"
	"github.com/moss-sandbox/moss/userns/probe"
	"github.com/moss-sandbox/moss/userns/role"
)

// version is set by the Makefile.
var version = "dev"

func main() { os.Exit(start()) }

// start runs a role if this process was started for one, else the command line.
func start() int {
	ctx := context.Background()
	inv, err := role.Invoked()
	if err == nil && inv != nil {
		err = run(ctx, inv)
	}
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "moss:", err)
		return 1
	case inv != nil:
		return 0
	}
	return cli.Main(ctx, os.Args, version, server())
}

// run is the list of roles.
func run(ctx context.Context, inv *role.Invocation) error {
	switch inv.Name {
	case supervisor:
		return engine.RunSupervisor(ctx, inv)
	case engine.WorkerRole:
		return engine.RunWorker(inv)
	case switchd.RoleName:
		return engine.RunSwitch(ctx, inv)
	case probe.Role:
		return probe.RunInside(inv)
	}
	return runFull(ctx, inv)
}

const supervisor = "supervisor"
