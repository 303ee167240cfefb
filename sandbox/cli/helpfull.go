//go:build !hot

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

var helpCommand = Command{
	Name: "help", Args: "[COMMAND]", Short: "Help about a command", Min: 0, Max: -1, Ordered: true,
	Setup: func(*pflag.FlagSet) Runner {
		return func(_ context.Context, app *App, args []string) error {
			if len(args) == 0 {
				return app.usage()
			}
			c, rest := app.find(args)
			if c == nil || len(rest) > 0 {
				return app.unknown(args)
			}
			fs := pflag.NewFlagSet(c.Name, pflag.ContinueOnError)
			c.Setup(fs)
			return app.help(c, fs)
		}
	},
}

// nouns are the words that only stand before a verb: `moss container` lists the verbs.
func nouns() (out []Command) {
	for _, n := range [][2]string{
		{"container", "Manage containers"}, {"image", "Manage images"}, {"network", "Manage networks"}, {"volume", "Manage volumes"},
		{"manifest", "Look at manifests in registries"}, {"store", "Share images with others"},
		{"system", "Manage moss"}, {"builder", "Manage builds"}, {"boot", "Manage what starts with the machine"},
	} {
		out = append(out, Command{Name: n[0], Args: "COMMAND", Short: n[1], Min: 0, Max: -1, Ordered: true, Setup: nounSetup(n[0])})
	}
	return out
}

func nounSetup(noun string) func(*pflag.FlagSet) Runner {
	return func(fs *pflag.FlagSet) Runner {
		return func(_ context.Context, app *App, args []string) error {
			c, _ := app.find([]string{noun})
			if len(args) == 0 {
				return app.help(c, fs)
			}
			u := &usageError{text: fmt.Sprintf("unknown command: %s %s %s", app.Name, noun, args[0]), cmd: c}
			var verbs []string
			for _, v := range app.verbs(noun) {
				verbs = append(verbs, strings.Fields(v[0])[0])
			}
			if near := nearest(args[0], verbs); near != "" {
				u.hint = fmt.Sprintf("did you mean '%s %s %s'?", app.Name, noun, near)
			}
			return &ExitError{Code: 1, Err: u}
		}
	}
}
