package cli

import (
	"cmp"
	"fmt"
	"slices"
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
	a.commandList("Commands", a.verbs(c.Name))
	if u := fs.FlagUsages(); u != "" {
		fmt.Fprintf(a.Out, "\nOptions:\n%s", u)
	}
	return nil
}

// common are the commands that stand first, in Docker's order.
const common = "run exec ps build pull push images login logout search version info"

// usage prints the list of commands in Docker's groups.
func (a *App) usage() error {
	fmt.Fprintf(a.Out, "Usage:  %s [OPTIONS] COMMAND\n\nContainers without root, with Docker's command line\n", a.Name)
	groups, first := map[string][][2]string{}, strings.Fields(common)
	for _, c := range a.commands {
		row := [2]string{c.Name, c.Short}
		switch {
		case strings.HasPrefix(c.Name, "_"), strings.Contains(c.Name, " "):
		case len(a.verbs(c.Name)) > 0:
			groups["Management Commands"] = append(groups["Management Commands"], row)
		case slices.Contains(first, c.Name):
			groups["Common Commands"] = append(groups["Common Commands"], row)
		default:
			groups["Commands"] = append(groups["Commands"], row)
		}
	}
	for _, g := range []string{"Common Commands", "Management Commands", "Commands"} {
		rank := func(row [2]string) int { return slices.Index(first, row[0]) }
		slices.SortFunc(groups[g], func(x, y [2]string) int { return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(x[0], y[0])) })
		a.commandList(g, groups[g])
	}
	fmt.Fprintf(a.Out, "\nGlobal Options:\n      --root string   Directory of images, containers and volumes\n  -v, --version       Print version information and quit\n\n"+
		"Run '%s COMMAND --help' for more information on a command.\n", a.Name)
	return nil
}

// commandList prints commands and what they do.
func (a *App) commandList(head string, list [][2]string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(a.Out, "\n%s:\n", head)
	width := 11
	for _, row := range list {
		width = max(width, len(row[0]))
	}
	for _, row := range list {
		fmt.Fprintf(a.Out, "  %-*s %s\n", width, row[0], row[1])
	}
}

// verbs are the words that may follow a noun, each command once, with what they do.
func (a *App) verbs(noun string) (out [][2]string) {
	for _, c := range a.commands {
		for _, name := range append([]string{c.Name}, c.Aliases...) {
			if verb, ok := strings.CutPrefix(name, noun+" "); ok {
				out = append(out, [2]string{verb, c.Short})
				break
			}
		}
	}
	slices.SortFunc(out, func(x, y [2]string) int { return cmp.Compare(x[0], y[0]) })
	return out
}
