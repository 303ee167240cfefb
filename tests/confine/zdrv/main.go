// Command zdrv is a throw-away driver, not committed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
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
	flag := flag.NewFlagSet("run", flag.ExitOnError)
	flag.StringVar(&o.Dir, "w", "", "")
	flag.StringVar(&o.User, "u", "", "")
	flag.BoolVar(&o.Privileged, "privileged", false, "")
	flag.Bool("rm", false, "")
	flag.BoolVar(&o.TTY, "t", false, "")
	flag.BoolVar(&o.Stdin, "i", false, "")
	flag.BoolVar(&o.ReadOnly, "read-only", false, "")
	flag.StringVar(&o.Hostname, "hostname", "", "")
	flag.StringVar(&o.Name, "name", "", "")
	flag.Func("cap-add", "", func(s string) error { o.CapAdd = append(o.CapAdd, s); return nil })
	flag.Func("cap-drop", "", func(s string) error { o.CapDrop = append(o.CapDrop, s); return nil })
	flag.Func("e", "", func(s string) error { o.Env = append(o.Env, s); return nil })
	flag.Func("shm-size", "", func(s string) error { o.Host.ShmSize = 1 << 20; return nil })
	flag.Func("ulimit", "", func(s string) error {
		o.Ulimits = append(o.Ulimits, engine.Ulimit{Name: "nofile", Soft: 77, Hard: 88})
		return nil
	})
	flag.Func("security-opt", "", func(s string) error {
		if s == "no-new-privs" {
			o.NoNewPrivs = true
		} else {
			o.Seccomp.Unconfined = true
		}
		return nil
	})
	flag.Func("sysctl", "", func(s string) error {
		if o.Host.Sysctls == nil {
			o.Host.Sysctls = map[string]string{}
		}
		k, v, _ := strings.Cut(s, "=")
		o.Host.Sysctls[k] = v
		return nil
	})
	flag.Func("v", "", func(s string) error {
		f := strings.Split(s, ":")
		t := spec.Bind
		if f[0][0] != '/' {
			t = spec.Volume
		}
		o.Volumes = append(o.Volumes, engine.VolumeSpec{Type: t, Source: f[0], Target: f[1], MakeDir: true})
		return nil
	})
	flag.Func("tmpfs", "", func(s string) error {
		o.Volumes = append(o.Volumes, engine.VolumeSpec{Type: spec.Tmpfs, Target: s})
		return nil
	})
	net := flag.String("network", "none", "")
	flag.Parse(os.Args[2:])
	o.Host.Network = *net
	o.Image, o.Args, o.AutoRemove = flag.Arg(0), flag.Args()[1:], true
	ctx := context.Background()
	e, err := engine.Open("")
	check(err)
	c, err := e.Create(ctx, &o)
	check(err)
	g, err := e.StartHere(ctx, c, [4]uint16{})
	check(err)
	if t := g.Terminal(); t != nil {
		go io.Copy(t, os.Stdin)
	}
	if i := g.Stdin(); i != nil {
		go func() { io.Copy(i, os.Stdin); i.Close() }()
	}
	x, err := g.Serve(ctx, supervisor.Sinks{Stdout: os.Stdout, Stderr: os.Stderr})
	check(err)
	check(e.Done(ctx, c))
	os.Exit(x.Code)
}

func check(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "moss: %v\n", err)
		os.Exit(125)
	}
}
