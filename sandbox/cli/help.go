package cli

import (
	"fmt"
	"sort"
	"strings"

	"github.com/spf13/pflag"
)

// help prints a command's usage as Docker does.
func (a *App) help(c *Command, fs *pflag.FlagSet) error {
	fmt.Fprintf(a.Out, "Usage:  %s %s %s\n\n%s\n", a.Name, c.Name, c.Args, c.Short)
	if len(c.Aliases) > 0 {
		names := []string{a.Name + " " + c.Name}
		for _, al := range c.Aliases {
			names = append(names, a.Name+" "+al)
		}
		sort.Strings(names)
		fmt.Fprintf(a.Out, "\nAliases:\n  %s\n", strings.Join(names, ", "))
	}
	if u := fs.FlagUsages(); u != "" {
		fmt.Fprintf(a.Out, "\nOptions:\n%s", u)
	}
	return nil
}

// usage prints the list of commands.
func (a *App) usage() error {
	fmt.Fprintf(a.Out, "Usage:  %s [OPTIONS] COMMAND\n\nContainers without root, with Docker's command line\n\nCommands:\n", a.Name)
	width := 0
	for _, c := range a.commands {
		width = max(width, len(c.Name))
	}
	for _, c := range a.commands {
		fmt.Fprintf(a.Out, "  %-*s  %s\n", width, c.Name, c.Short)
	}
	fmt.Fprintf(a.Out, "\nGlobal Options:\n      --root string   Directory of images, containers and volumes\n  -v, --version       Print version information and quit\n\n"+
		"Run '%s COMMAND --help' for more information on a command.\n", a.Name)
	return nil
}
