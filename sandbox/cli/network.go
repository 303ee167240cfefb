//go:build !hot

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/filter"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/view"
	"github.com/moss-sandbox/moss/slirp"
)

// networkCommands are the verbs of moss network.
func networkCommands() []Command {
	return []Command{
		{Name: "network ls", Aliases: []string{"network list"}, Args: "[OPTIONS]", Short: "List networks", Min: 0, Max: 0, Setup: networkList},
		{Name: "network inspect", Args: "[OPTIONS] NETWORK [NETWORK...]", Short: "Display detailed information on one or more networks", Min: 1, Max: -1, Setup: networkInspect},
		{Name: "network create", Args: "[OPTIONS] NETWORK", Short: "Create a network", Min: 1, Max: 1, Setup: networkCreate},
		{Name: "network rm", Aliases: []string{"network remove"}, Args: "NETWORK [NETWORK...]", Short: "Remove one or more networks", Min: 1, Max: -1, Setup: networkRemove},
		{Name: "network connect", Args: "[OPTIONS] NETWORK CONTAINER", Short: "Connect a container to a network", Min: 2, Max: 2, Setup: networkConnect},
		{Name: "network disconnect", Args: "[OPTIONS] NETWORK CONTAINER", Short: "Disconnect a container from a network", Min: 2, Max: 2, Setup: networkDisconnect},
		{Name: "network prune", Args: "[OPTIONS]", Short: "Remove all unused networks", Min: 0, Max: 0, Setup: networkPrune},
	}
}

// networkRow is what a template of network ls sees.
type networkRow struct {
	CreatedAt, Driver, ID, IPv4, IPv6, Internal, Labels, Name, Scope string
	n                                                                *slirp.Network
}

// Label is the value of a label.
func (r networkRow) Label(name string) string { return r.n.Labels[name] }

var networkHeads = map[string]string{
	"ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "IPv4": "IPV4", "IPv6": "IPV6", "Internal": "INTERNAL", "Labels": "LABELS",
	"CreatedAt": "CREATED AT",
}

func networkList(fs *pflag.FlagSet) Runner {
	filter := fs.StringArrayP("filter", "f", nil, "Provide filter values (e.g. \"driver=bridge\")")
	format := fs.String("format", "", "Format output using a custom template")
	long := fs.Bool("no-trunc", false, "Do not truncate the output")
	quiet := fs.BoolP("quiet", "q", false, "Only display network IDs")
	return func(ctx context.Context, app *App, _ []string) error {
		f, err := parseFilters(*filter, "driver", "id", "label", "name", "scope", "type", "dangling")
		if err != nil {
			return err
		}
		e, err := app.Engine()
		if err != nil {
			return err
		}
		app.sudoNote()
		out, err := networkRows(ctx, e, f, *long)
		if err != nil {
			return err
		}
		switch {
		case *quiet && *format == "":
			*format = "{{.ID}}"
		case *format == "" || *format == "table":
			*format = `table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}`
		}
		return rows(app.Out, *format, networkHeads, out)
	}
}

func networkRows(ctx context.Context, e *engine.Engine, f filter.Set, long bool) (out []networkRow, err error) {
	list, err := e.Networks().List()
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	if len(f["dangling"]) > 0 {
		used = e.UsedNetworks(ctx)
	}
	slices.SortFunc(list, func(a, b slirp.Network) int { return cmp.Compare(a.Name, b.Name) })
	for i := range list {
		n := &list[i]
		if !keepsNetwork(n, f, used[n.Name]) {
			continue
		}
		_, v4 := n.IPv4()
		out = append(out, networkRow{
			CreatedAt: n.Created.Local().Format("2006-01-02 15:04:05.999999999 -0700 MST"), Driver: n.Driver, ID: shortID(n.ID, long),
			IPv4: strconv.FormatBool(v4 || n.Driver != slirp.DriverBridge), IPv6: strconv.FormatBool(n.IPv6), Internal: strconv.FormatBool(n.Internal),
			Labels: labelText(n.Labels), Name: n.Name, Scope: "local", n: n,
		})
	}
	return out, nil
}

func keepsNetwork(n *slirp.Network, f filter.Set, used bool) bool {
	kind := "custom"
	if slirp.BuiltIn(n.Name) {
		kind = "builtin"
	}
	return filter.HasLabels(n.Labels, f["label"]) &&
		f.Any("driver", func(v string) bool { return v == n.Driver }) &&
		f.Any("id", func(v string) bool { return strings.Contains(n.ID, v) }) &&
		f.Any("name", func(v string) bool { return strings.Contains(n.Name, v) }) &&
		f.Any("scope", func(v string) bool { return v == "local" }) &&
		f.Any("type", func(v string) bool { return v == kind }) &&
		f.Any("dangling", func(v string) bool {
			on, err := strconv.ParseBool(v)
			return err == nil && on == (kind == "custom" && !used)
		})
}

func networkInspect(fs *pflag.FlagSet) Runner {
	format := fs.StringP("format", "f", "", "Format output using a custom template")
	fs.BoolP("verbose", "v", false, "Verbose output for diagnostics")
	return func(ctx context.Context, app *App, args []string) error {
		e, err := app.Engine()
		if err != nil {
			return err
		}
		app.sudoNote()
		found := []any{}
		var missing []error
		for _, name := range args {
			n, in, err := e.Network(ctx, name)
			if err != nil {
				missing = append(missing, err)
				continue
			}
			found = append(found, view.Network(n, in))
		}
		if err := app.printObjects(*format, found); err != nil {
			return err
		}
		for _, err := range missing {
			app.printError(err)
		}
		if len(missing) > 0 {
			return exit(1)
		}
		return nil
	}
}

// networkCreateOptions are the flags of network create.
type networkCreateOptions struct {
	driver                                   string
	subnets, gateways, ranges, labels, words []string
	internal, ipv6                           bool
}

func networkCreate(fs *pflag.FlagSet) Runner {
	o := &networkCreateOptions{}
	fs.StringVarP(&o.driver, "driver", "d", "bridge", "Driver to manage the Network")
	fs.StringSliceVar(&o.subnets, "subnet", nil, "Subnet in CIDR format that represents a network segment")
	fs.StringSliceVar(&o.gateways, "gateway", nil, "IPv4 or IPv6 Gateway for the master subnet")
	fs.StringSliceVar(&o.ranges, "ip-range", nil, "Allocate container ip from a sub-range")
	fs.StringArrayVar(&o.labels, "label", nil, "Set metadata on a network")
	fs.StringArrayVarP(&o.words, "opt", "o", nil, "Set driver specific options")
	fs.StringArrayVar(&o.words, "network-opt", nil, "Set an option of moss: host-loopback lets the gateway's address lead to this machine's loopback")
	fs.BoolVar(&o.internal, "internal", false, "Restrict external access to the network")
	fs.BoolVar(&o.ipv6, "ipv6", false, "Enable IPv6 address assignment")
	fs.Bool("attachable", false, "")
	_ = fs.MarkHidden("attachable") // of swarms: everything here can be attached to
	return func(_ context.Context, app *App, args []string) error {
		n, err := o.network(args[0])
		if err != nil {
			return err
		}
		e, err := app.Engine()
		if err != nil {
			return err
		}
		app.sudoNote()
		made, err := e.CreateNetwork(n)
		if err != nil {
			return err
		}
		fmt.Fprintln(app.Out, made.ID)
		return nil
	}
}

// network turns the flags into a value.
func (o *networkCreateOptions) network(name string) (n slirp.Network, err error) {
	n = slirp.Network{Name: name, Driver: o.driver, Internal: o.internal, IPv6: o.ipv6, Labels: labelMap(o.labels), Options: labelMap(o.words)}
	for _, s := range o.subnets {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return n, fmt.Errorf("invalid subnet %s: %w", s, err)
		}
		if p != p.Masked() {
			return n, fmt.Errorf("invalid subnet %s: it should be %s", s, p.Masked())
		}
		n.Subnets, n.IPv6 = append(n.Subnets, slirp.Subnet{Subnet: p}), n.IPv6 || p.Addr().Is6()
	}
	slices.SortStableFunc(n.Subnets, func(a, b slirp.Subnet) int { return cmp.Compare(a.Subnet.Addr().BitLen(), b.Subnet.Addr().BitLen()) })
	if err := o.setGateways(&n); err != nil {
		return n, err
	}
	return n, o.setRanges(&n)
}

func (o *networkCreateOptions) setGateways(n *slirp.Network) error {
	for _, g := range o.gateways {
		a, err := netip.ParseAddr(g)
		if err != nil {
			return fmt.Errorf("invalid gateway address %s", g)
		}
		i := slices.IndexFunc(n.Subnets, func(s slirp.Subnet) bool { return s.Subnet.Contains(a) })
		if i < 0 {
			return fmt.Errorf("no matching subnet for gateway %s", g)
		}
		n.Subnets[i].Gateway = a
	}
	return nil
}

func (o *networkCreateOptions) setRanges(n *slirp.Network) error {
	for _, r := range o.ranges {
		p, err := netip.ParsePrefix(r)
		if err != nil {
			return fmt.Errorf("invalid ip-range %s: %w", r, err)
		}
		i := slices.IndexFunc(n.Subnets, func(s slirp.Subnet) bool { return s.Subnet.Contains(p.Addr()) && s.Subnet.Bits() <= p.Bits() })
		if i < 0 {
			return fmt.Errorf("no matching subnet for range %s", r)
		}
		n.Subnets[i].Range = p.Masked()
	}
	return nil
}

func networkRemove(fs *pflag.FlagSet) Runner {
	force := fs.BoolP("force", "f", false, "Do not error if the network does not exist")
	return func(ctx context.Context, app *App, args []string) error {
		e, err := app.Engine()
		if err != nil {
			return err
		}
		app.sudoNote()
		return app.each(args, func(name string) error {
			err := e.RemoveNetwork(ctx, name)
			if *force && errors.Is(err, slirp.ErrNotFound) {
				return nil
			}
			return err
		})
	}
}

func networkConnect(fs *pflag.FlagSet) Runner {
	want := spec.Connection{}
	fs.StringArrayVar(&want.Aliases, "alias", nil, "Add network-scoped alias for the container")
	fs.StringVar(&want.IP, "ip", "", "IPv4 address (e.g., \"172.30.100.104\")")
	fs.StringVar(&want.IP6, "ip6", "", "IPv6 address (e.g., \"2001:db8::33\")")
	return func(ctx context.Context, app *App, args []string) error {
		e, err := app.Engine()
		if err != nil {
			return err
		}
		app.sudoNote()
		return e.Connect(ctx, args[0], args[1], want)
	}
}

func networkDisconnect(fs *pflag.FlagSet) Runner {
	fs.BoolP("force", "f", false, "Force the container to disconnect from a network")
	return func(ctx context.Context, app *App, args []string) error {
		e, err := app.Engine()
		if err != nil {
			return err
		}
		app.sudoNote()
		return e.Disconnect(ctx, args[0], args[1])
	}
}

func networkPrune(fs *pflag.FlagSet) Runner {
	filter := fs.StringArray("filter", nil, "Provide filter values (e.g. \"until=<timestamp>\")")
	force := fs.BoolP("force", "f", false, "Do not prompt for confirmation")
	return func(ctx context.Context, app *App, _ []string) error {
		p, err := parsePruneFilter(*filter, "until", "label", "label!")
		if err != nil {
			return err
		}
		e, err := app.Engine()
		if err != nil {
			return err
		}
		app.sudoNote()
		if !app.sure(*force, "This will remove all custom networks not used by at least one container.") {
			return nil
		}
		gone, err := e.PruneNetworks(ctx, func(n *slirp.Network) bool { return !p.accepts(n.Created, n.Labels) })
		pruneReport{kind: "Networks", names: gone}.print(app)
		return err
	}
}
