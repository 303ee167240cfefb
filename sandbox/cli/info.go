//go:build !hot

package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/socket"
	"github.com/moss-sandbox/moss/sandbox/view"
	"github.com/moss-sandbox/moss/slirp"
)

// infoOptions are the flags of info.
type infoOptions struct {
	format       string
	check, admin bool
}

var infoCommand = Command{
	Name: "info", Aliases: []string{"system info"}, Args: "[OPTIONS]", Short: "Display system-wide information", Min: 0, Max: 0,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &infoOptions{}
		fs.StringVarP(&o.format, "format", "f", "", "Format output using a custom template")
		fs.BoolVar(&o.check, "check", false, "Only tell whether containers can run here: exit code 0 or 1")
		fs.BoolVar(&o.admin, "admin", false, "Print a script with which an administrator sets up this machine for this account")
		return o.run
	},
}

func (o *infoOptions) run(ctx context.Context, app *App, _ []string) error {
	if o.admin {
		return o.script(ctx, app)
	}
	e, err := app.Engine()
	if err != nil {
		return err
	}
	if o.check {
		h, err := e.Host(ctx)
		if err != nil {
			return err
		}
		return h.Check()
	}
	app.sudoNote()
	i, err := e.Info(ctx)
	if err != nil {
		return err
	}
	v := view.SystemInfo(i, app.Version)
	v.Moss.Socket = socket.Path(&e.Dirs)
	if o.format != "" {
		if o.format == "json" {
			o.format = "{{json .}}"
		}
		t, err := parseTemplate(o.format)
		if err != nil {
			return err
		}
		return execute(app.Out, t, v)
	}
	app.infoText(v)
	for _, w := range v.Warnings {
		fmt.Fprintln(app.Err, Quote(w))
	}
	return nil
}

// script prints the administrator's script. It needs no data root.
func (o *infoOptions) script(ctx context.Context, app *App) error {
	h, err := engine.HostWithoutData(ctx)
	if err != nil {
		return err
	}
	_, err = io.WriteString(app.Out, h.AdminScript())
	return err
}

// infoText prints Docker's lines, then what this machine can do.
func (a *App) infoText(v *view.Info) {
	p := func(format string, args ...any) { fmt.Fprintln(a.Out, Quote(fmt.Sprintf(format, args...))) }
	p("Client: moss\n Version:    %s\n Context:    %s\n Debug Mode: %t\n\nServer: moss (this program; no service runs)", v.ClientInfo.Version, v.ClientInfo.Context, v.ClientInfo.Debug)
	p(" Containers: %d\n  Running: %d\n  Paused: %d\n  Stopped: %d\n Images: %d", v.Containers, v.ContainersRunning, v.ContainersPaused, v.ContainersStopped, v.Images)
	p(" Server Version: %s\n Storage Driver: %s", v.ServerVersion, v.Driver)
	for _, s := range v.DriverStatus {
		p("  %s: %s", s[0], s[1])
	}
	p(" Logging Driver: %s\n Cgroup Driver: %s\n Cgroup Version: %s", v.LoggingDriver, v.CgroupDriver, v.CgroupVersion)
	p(" Plugins:\n  Volume: %s\n  Network: %s\n  Log: %s", strings.Join(v.Plugins.Volume, " "), strings.Join(v.Plugins.Network, " "), strings.Join(v.Plugins.Log, " "))
	p(" Swarm: %s\n Runtimes: %s\n Default Runtime: %s\n Security Options:", v.Swarm.LocalNodeState, v.DefaultRuntime, v.DefaultRuntime)
	for _, o := range v.SecurityOptions {
		name, more, _ := strings.Cut(strings.TrimPrefix(o, "name="), ",")
		p("  %s", name)
		if profile, ok := strings.CutPrefix(more, "profile="); ok {
			p("   Profile: %s", profile)
		}
	}
	p(" Kernel Version: %s\n Operating System: %s\n OSType: %s\n Architecture: %s", v.KernelVersion, v.OperatingSystem, v.OSType, v.Architecture)
	p(" CPUs: %d\n Total Memory: %s\n Name: %s\n ID: %s\n Docker Root Dir: %s", v.NCPU, units.BytesSize(float64(v.MemTotal)), v.Name, v.ID, v.DockerRootDir)
	p(" API Socket: unix://%s", v.Moss.Socket)
	p(" Debug Mode: %t", v.Debug)
	for _, l := range [][2]string{{"HTTP Proxy", v.HTTPProxy}, {"HTTPS Proxy", v.HTTPSProxy}, {"No Proxy", v.NoProxy}} {
		if l[1] != "" {
			p(" %s: %s", l[0], withoutPassword(l[1]))
		}
	}
	p(" Experimental: %t", v.ExperimentalBuild)
	a.infoRegistries(v)
	p(" Live Restore Enabled: %t\n", v.LiveRestoreEnabled)
	a.infoHost(v)
}

// withoutPassword hides what stands before the @ of an address, as Docker does.
func withoutPassword(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if at := strings.LastIndexByte(rest, '@'); ok && at >= 0 {
		return scheme + "://xxxxx:xxxxx@" + rest[at+1:]
	}
	return address
}

func (a *App) infoRegistries(v *view.Info) {
	c := v.RegistryConfig
	var insecure []string
	for name, r := range c.IndexConfigs {
		if !r.Secure {
			insecure = append(insecure, name)
		}
	}
	sort.Strings(insecure)
	for _, cidr := range c.InsecureRegistryCIDRs {
		insecure = append(insecure, cidr.String())
	}
	fmt.Fprintln(a.Out, " Insecure Registries:")
	for _, name := range insecure {
		fmt.Fprintln(a.Out, "  "+Quote(name))
	}
	if len(c.Mirrors) > 0 {
		fmt.Fprintln(a.Out, " Registry Mirrors:")
	}
	for _, m := range c.Mirrors {
		fmt.Fprintln(a.Out, "  "+Quote(m))
	}
}

// hostHeads are the groups of the host's sentences, in the order of what a beginner wants to know.
var hostHeads = []struct{ state, head string }{
	{"missing", "Missing:"}, {"works differently", "Works differently:"}, {"works", "Works:"},
}

// infoHost prints what this machine lets the account do, and what would help.
func (a *App) infoHost(v *view.Info) {
	fmt.Fprintln(a.Out, "Host:")
	fmt.Fprintf(a.Out, " Ids: %s\n", idMode(v))
	for _, g := range hostHeads {
		of := slices.DeleteFunc(slices.Clone(v.Moss.Host), func(l engine.HostLine) bool { return string(l.State) != g.state })
		if len(of) == 0 {
			continue
		}
		fmt.Fprintln(a.Out, " "+g.head)
		for _, l := range of {
			fmt.Fprintln(a.Out, "  "+Quote(l.Sentence))
			if l.Remedy != "" {
				fmt.Fprintln(a.Out, "   to change it: "+Quote(l.Remedy))
			}
		}
	}
	a.infoBackends()
}

// infoBackends prints the ways to carry a network and what each lacks.
func (a *App) infoBackends() {
	fmt.Fprintln(a.Out, " Network backends (--net-backend, best first):")
	for _, b := range slirp.Backends() {
		lacks := "everything works"
		if d := b.Differences(); len(d) > 0 {
			lacks = strings.Join(d, "; ")
		}
		fmt.Fprintf(a.Out, "  %-16s %s\n", b.Name+":", lacks)
	}
}

// idMode says how ids are mapped.
func idMode(v *view.Info) string {
	switch v.Moss.IDs {
	case "newuidmap":
		return fmt.Sprintf("%d, the account's own as root and its subordinate ones (newuidmap)", v.Moss.IDCount)
	case "direct":
		return fmt.Sprintf("%d, mapped by root itself", v.Moss.IDCount)
	}
	return "1, the account's own alone"
}
