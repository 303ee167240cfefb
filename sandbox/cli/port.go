//go:build !hot

package cli

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox/view"
)

var portCommand = Command{
	Name: "port", Aliases: []string{"container port"}, Args: "CONTAINER [PRIVATE_PORT[/PROTO]]", Short: "List port mappings or a specific mapping for the container", Min: 1, Max: 2,
	Setup: func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, args []string) error {
			e, err := app.Engine()
			if err != nil {
				return err
			}
			app.sudoNote()
			c, err := e.Find(ctx, args[0])
			if err != nil {
				return err
			}
			wanted := ""
			if len(args) > 1 {
				if wanted = args[1]; !strings.Contains(wanted, "/") {
					wanted += "/tcp"
				}
			}
			lines := portLines(view.Inspect(c).NetworkSettings, wanted)
			if wanted != "" && len(lines) == 0 {
				return fmt.Errorf("no public port '%s' published for %s", wanted, args[0])
			}
			for _, l := range lines {
				fmt.Fprintln(app.Out, l)
			}
			return nil
		}
	},
}

// portLines are the mappings of a container: of one port its addresses alone.
func portLines(n *view.NetworkSettings, wanted string) (out []string) {
	for port, bindings := range n.Ports {
		for _, b := range bindings {
			at := b.HostIP.String()
			if b.HostIP.Is6() {
				at = "[" + at + "]"
			}
			switch at += ":" + b.HostPort; wanted {
			case "":
				out = append(out, port.String()+" -> "+at)
			case port.String():
				out = append(out, at)
			}
		}
	}
	sort.Strings(out)
	return out
}
