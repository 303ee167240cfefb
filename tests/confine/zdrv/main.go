// Command zdrv is a throw-away driver, not committed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/userns/role"
)

func main() {
	inv, err := role.Invoked()
	if err != nil {
		panic(err)
	}
	if inv != nil {
		switch inv.Name {
		case supervisor.Role:
			err = engine.RunSupervisor(context.Background(), inv)
		default:
			err = engine.RunWorker(inv)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var o engine.Create
	flag.StringVar(&o.Dir, "w", "", "")
	flag.StringVar(&o.User, "u", "", "")
	flag.BoolVar(&o.Privileged, "privileged", false, "")
	flag.BoolVar(&o.Seccomp.Unconfined, "unconfined", false, "")
	flag.BoolVar(&o.TTY, "t", false, "")
	caps := flag.String("cap-add", "", "")
	vol := flag.String("v", "", "")
	net := flag.String("net", "none", "")
	flag.Parse()
	o.Host.Network = *net
	if *caps != "" {
		o.CapAdd = strings.Split(*caps, ",")
	}
	if *vol != "" {
		f := strings.Split(*vol, ":")
		o.Volumes = []engine.VolumeSpec{{Type: spec.Bind, Source: f[0], Target: f[1], MakeDir: true}}
	}
	o.Image, o.Args, o.AutoRemove = flag.Arg(0), flag.Args()[1:], true
	ctx := context.Background()
	e, err := engine.Open("")
	check(err)
	c, err := e.Create(ctx, &o)
	check(err)
	g, err := e.StartHere(ctx, c, [4]uint16{})
	check(err)
	fmt.Fprintln(os.Stderr, "pid", c.State.Guest)
	x, err := g.Serve(ctx, supervisor.Sinks{Stdout: os.Stdout, Stderr: os.Stderr})
	check(err)
	check(e.Done(ctx, c))
	os.Exit(x.Code)
}

func check(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "drv: %v\n", err)
		os.Exit(125)
	}
}
