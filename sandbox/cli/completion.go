//go:build !hot

package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
)

// completionScripts ask the program itself, by __complete, what may stand next. $NAME is its name.
var completionScripts = map[string]string{
	// bash takes a colon for the end of a word, so the words are split here, and what stands before the last colon is cut off.
	"bash": `# bash completion: source <($NAME completion bash)
_$NAME_complete() {
	local line="${COMP_LINE:0:COMP_POINT}" cur before IFS=$' \t\n'
	local -a words
	read -ra words <<<"$line"
	case "$line" in *[[:space:]]) words+=("") ;; esac
	cur="${words[${#words[@]}-1]}"
	IFS=$'\n'
	COMPREPLY=($("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null))
	before="${cur%"${cur##*:}"}"
	if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then COMPREPLY=("${COMPREPLY[@]#"$before"}"); fi
	if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi
}
complete -o default -F _$NAME_complete $NAME
`,
	"zsh": `#compdef $NAME
# zsh completion: source <($NAME completion zsh)
_$NAME() {
	local -a found
	found=("${(@f)$($words[1] __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	found=("${(@)found:#}")
	if (( ${#found} )); then compadd -- "${found[@]}"; else _files; fi
}
if [ "$funcstack[1]" = "_$NAME" ]; then _$NAME "$@"; else compdef _$NAME $NAME; fi
`,
	"fish": `# fish completion: $NAME completion fish | source
function __$NAME_complete
	set -l words (commandline -opc)
	$words[1] __complete -- $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c $NAME -a '(__$NAME_complete)'
`,
}

var completionCommand = Command{
	Name: "completion", Args: "bash|zsh|fish", Short: "Print the completion script of a shell", Min: 1, Max: 1,
	Setup: func(*pflag.FlagSet) Runner {
		return func(_ context.Context, app *App, args []string) error {
			script, ok := completionScripts[args[0]]
			if !ok {
				return &engine.Hint{Err: fmt.Errorf("no completion for %q", args[0]), Remedy: "there are bash, zsh and fish"}
			}
			_, err := fmt.Fprint(app.Out, strings.ReplaceAll(script, "$NAME", app.Name))
			return err
		}
	},
}

// completeCommand is what the scripts call: the words after the program's name, the last of which is being typed. Its name
// begins with _ and is listed nowhere.
var completeCommand = Command{
	Name: "__complete", Args: "-- WORD...", Short: "Tell what may stand next", Min: 0, Max: -1, Ordered: true,
	Setup: func(*pflag.FlagSet) Runner {
		return func(ctx context.Context, app *App, words []string) error {
			for _, w := range app.complete(ctx, words) {
				fmt.Fprintln(app.Out, w)
			}
			return nil
		}
	},
}

// complete lists what may stand in the place of the last word.
func (a *App) complete(ctx context.Context, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	cur, before := words[len(words)-1], words[:len(words)-1]
	for len(before) > 0 && strings.HasPrefix(before[0], "-") { // global flags
		if before[0] == "--root" && len(before) > 1 {
			a.Root, before = before[1], before[1:]
		}
		before = before[1:]
	}
	c, rest := a.find(before)
	if c == nil || len(before) == 1 && len(a.verbs(before[0])) > 0 {
		return beginning(cur, a.nextWords(before))
	}
	return beginning(cur, a.completeArgument(ctx, c, rest, cur))
}

func beginning(cur string, words []string) (out []string) {
	for _, w := range words {
		if strings.HasPrefix(w, cur) && !strings.HasPrefix(w, "_") {
			out = append(out, w)
		}
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// nextWords are the words of commands that go on after the given ones.
func (a *App) nextWords(before []string) (out []string) {
	prefix := strings.Join(before, " ")
	if prefix != "" {
		prefix += " "
	}
	for _, c := range a.commands {
		for _, name := range append([]string{c.Name}, c.Aliases...) {
			if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
				out = append(out, strings.Fields(rest)[0])
			}
		}
	}
	return out
}

// completeArgument lists a command's flags, a flag's values or its arguments.
func (a *App) completeArgument(ctx context.Context, c *Command, rest []string, cur string) []string {
	fs := pflag.NewFlagSet(c.Name, pflag.ContinueOnError)
	c.Setup(fs)
	args, flag := positional(fs, rest, c.Ordered)
	switch {
	case flag != nil:
		return a.flagValues(ctx, flag.Name)
	case strings.HasPrefix(cur, "-") && (!c.Ordered || args == 0):
		return dashed(fs)
	}
	return a.objects(ctx, kindOfArgument(c, args))
}

// positional counts the arguments among the words; flag is the one whose value comes next.
func positional(fs *pflag.FlagSet, words []string, ordered bool) (args int, flag *pflag.Flag) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		if !strings.HasPrefix(w, "-") || w == "-" || ordered && args > 0 {
			args++
			continue
		}
		f := flagOf(fs, w)
		if f == nil || f.NoOptDefVal != "" || strings.Contains(w, "=") {
			continue
		}
		if i++; i == len(words) {
			return args, f
		}
	}
	return args, nil
}

// flagOf finds the flag that a word begins; of several letters the last one decides.
func flagOf(fs *pflag.FlagSet, word string) *pflag.Flag {
	if name, long := strings.CutPrefix(word, "--"); long {
		name, _, _ = strings.Cut(name, "=")
		return fs.Lookup(name)
	}
	if len(word) < 2 {
		return nil
	}
	return fs.ShorthandLookup(word[len(word)-1:])
}

func dashed(fs *pflag.FlagSet) []string {
	out := []string{"--help"}
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		out = append(out, "--"+f.Name)
		if f.Shorthand != "" {
			out = append(out, "-"+f.Shorthand)
		}
	})
	return out
}

func (a *App) flagValues(ctx context.Context, name string) []string {
	switch name {
	case "network", "net":
		return a.objects(ctx, "network")
	case "volumes-from", "link":
		return a.objects(ctx, "container")
	case "restart":
		return []string{"no", "always", "on-failure", "unless-stopped"}
	case "pull":
		return []string{"always", "missing", "never"}
	}
	return nil
}

// kindOfArgument says what a command's next argument names.
func kindOfArgument(c *Command, args int) string {
	verb := c.Name[strings.LastIndexByte(c.Name, ' ')+1:]
	switch {
	case args > 0 && !strings.Contains(c.Args, "..."), args > 0 && c.Ordered:
		return ""
	case verb == "start":
		return "stopped"
	case slices.Contains(strings.Fields("stop kill pause unpause attach exec top port wait"), verb):
		return "running"
	case verb == "cp":
		return "path"
	case verb == "push" || verb == "pull":
		return "image"
	case c.Name == "inspect":
		return "object"
	}
	for _, kind := range []string{"CONTAINER", "IMAGE", "VOLUME", "NETWORK"} {
		if strings.Contains(c.Args, kind) {
			return strings.ToLower(kind)
		}
	}
	return ""
}

// objects lists names of one kind; nothing where they cannot be read.
func (a *App) objects(ctx context.Context, kind string) (out []string) {
	e, err := a.Engine()
	if err != nil {
		return nil
	}
	switch kind {
	case "container", "running", "stopped", "path", "object":
		out = containerNames(ctx, e, kind)
		if kind == "object" {
			out = append(out, imageNames(e)...)
		}
	case "image":
		return imageNames(e)
	case "network":
		return networkNames(e)
	case "volume":
		return entries(e.Dirs.Data + "/volumes")
	}
	return out
}

func containerNames(ctx context.Context, e *engine.Engine, kind string) (out []string) {
	all, _ := e.List(ctx) // one that cannot be read cannot be offered
	for _, c := range all {
		runs := c.State.Status == sandbox.Running || c.State.Status == sandbox.Paused || c.State.Status == sandbox.Restarting
		if kind == "running" && !runs || kind == "stopped" && runs {
			continue
		}
		name := c.Spec.Name
		if kind == "path" {
			name += ":"
		}
		out = append(out, name)
	}
	return out
}

func imageNames(e *engine.Engine) (out []string) {
	st, err := e.Images()
	if err != nil {
		return nil
	}
	list, _ := st.List()
	for _, m := range list {
		for _, n := range m.Names {
			out = append(out, n.Familiar())
		}
	}
	return out
}

func networkNames(e *engine.Engine) []string {
	out := []string{"none", "host", e.DefaultNetwork()}
	for _, n := range entries(e.Dirs.Data + "/networks") {
		if name, ok := strings.CutSuffix(n, ".json"); ok {
			out = append(out, name)
		}
	}
	return out
}

// entries are the names in a directory, none if it is not there.
func entries(dir string) (out []string) {
	list, _ := os.ReadDir(dir)
	for _, d := range list {
		out = append(out, d.Name())
	}
	return out
}
