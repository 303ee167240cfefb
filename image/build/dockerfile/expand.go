package dockerfile

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// An Expander replaces variables by BuildKit's rules: ${x:-y}, ${x:+y}, ${x:?y}, ${x#y}, ${x%y}, ${x/y/z} and their
// doubled forms. It is not safe for concurrent use.
type Expander struct {
	env  []string // KEY=VALUE, a later one wins
	used map[string]bool
}

// NewExpander returns an Expander over an environment in the form KEY=VALUE; of two equal keys the later one counts.
func NewExpander(env []string) *Expander { return &Expander{env: env, used: map[string]bool{}} }

// Word expands one word with the file's escape character; quotes are removed.
func (f *File) Word(e *Expander, word string) (string, error) { return e.word(f.escape, word) }

func (e *Expander) word(escape rune, word string) (string, error) {
	r, err := shell.NewLex(escape).ProcessWordWithMatches(word, shell.EnvsFromSlice(e.env))
	for k := range r.Matched {
		e.used[k] = true
	}
	return r.Result, err
}

func (e *Expander) words(escape rune, word string) ([]string, error) {
	return shell.NewLex(escape).ProcessWords(word, shell.EnvsFromSlice(e.env))
}

// raw expands the content of a here-document: quotes stay.
func (e *Expander) raw(text string) (string, error) {
	lex := shell.NewLex('\\')
	lex.SkipProcessQuotes = true
	out, _, err := lex.ProcessWord(text, shell.EnvsFromSlice(e.env))
	return out, err
}

// Used tells whether a variable's value went into an expansion since the Expander was made.
func (e *Expander) Used(name string) bool { return e.used[name] }

// Expand replaces the instruction's variables and returns it as a value. It consumes the instruction: call it once.
func (in *Instruction) Expand(e *Expander) (op Op, err error) {
	defer recoverParser(&err)
	if _, isArg := in.command.(*instructions.ArgCommand); !isArg {
		if x, ok := in.command.(instructions.SupportsSingleWordExpansion); ok {
			if err := x.Expand(func(w string) (string, error) { return e.word(in.escape, w) }); err != nil {
				return nil, err
			}
		}
	}
	if x, ok := in.command.(instructions.SupportsSingleWordExpansionRaw); ok {
		if err := x.ExpandRaw(e.raw); err != nil {
			return nil, err
		}
	}
	return in.convert(e)
}

func (in *Instruction) convert(e *Expander) (Op, error) {
	switch c := in.command.(type) {
	case *instructions.EnvCommand:
		return Env{pairs(c.Env)}, nil
	case *instructions.LabelCommand:
		return Label{pairs(c.Labels)}, nil
	case *instructions.ArgCommand:
		return Args{argsOf(c.Args)}, nil
	case *instructions.MaintainerCommand:
		return Maintainer{c.Maintainer}, nil
	case *instructions.WorkdirCommand:
		return Workdir{c.Path}, nil
	case *instructions.UserCommand:
		return User{c.User}, nil
	case *instructions.VolumeCommand:
		return volume(c)
	case *instructions.ExposeCommand:
		return expose(e, in.escape, c)
	case *instructions.StopSignalCommand:
		return StopSignal{c.Signal}, nil
	case *instructions.ShellCommand:
		return Shell{c.Shell}, nil
	case *instructions.OnbuildCommand:
		return OnBuild{c.Expression}, nil
	case *instructions.CmdCommand:
		return Cmd{commandLine(c.ShellDependantCmdLine)}, nil
	case *instructions.EntrypointCommand:
		return Entrypoint{commandLine(c.ShellDependantCmdLine)}, nil
	case *instructions.HealthCheckCommand:
		h := c.Health
		return Healthcheck{h.Test, h.Interval, h.Timeout, h.StartPeriod, h.StartInterval, h.Retries}, nil
	case *instructions.RunCommand:
		return run(c)
	case *instructions.CopyCommand:
		return copyOp(c), nil
	case *instructions.AddCommand:
		return addOp(c), nil
	}
	return nil, fmt.Errorf("internal error: instruction %q has no operation", in.Name)
}

func volume(c *instructions.VolumeCommand) (Op, error) {
	for _, v := range c.Volumes {
		if v == "" {
			return nil, errors.New("VOLUME specified can not be an empty string")
		}
	}
	return Volume{c.Volumes}, nil
}

func expose(e *Expander, escape rune, c *instructions.ExposeCommand) (Op, error) {
	var op Expose
	for _, w := range c.Ports {
		ws, err := e.words(escape, w)
		if err != nil {
			return nil, err
		}
		op.Words = append(op.Words, ws...)
	}
	for _, w := range op.Words {
		ports, err := ParsePorts(w)
		if err != nil {
			return nil, err
		}
		op.Ports = append(op.Ports, ports...)
	}
	return op, nil
}

func pairs(kvs instructions.KeyValuePairs) []Pair {
	var out []Pair
	for _, kv := range kvs {
		out = append(out, Pair{kv.Key, kv.Value})
	}
	return out
}

func commandLine(c instructions.ShellDependantCmdLine) CommandLine {
	return CommandLine{Args: c.CmdLine, Shell: c.PrependShell}
}

func run(c *instructions.RunCommand) (Op, error) {
	op := Run{CommandLine: commandLine(c.ShellDependantCmdLine), Network: string(instructions.GetNetwork(c)), Security: instructions.GetSecurity(c)}
	for _, d := range instructions.GetDevices(c) {
		op.Devices = append(op.Devices, d.Name)
	}
	for _, m := range instructions.GetMounts(c) {
		op.Mounts = append(op.Mounts, mount(m))
	}
	if len(c.Files) == 0 {
		return op, nil
	}
	if len(op.Args) != 1 || !op.Shell {
		return nil, fmt.Errorf("here-documents need the shell form of RUN, not %q", op.Args)
	}
	return inlineRun(op, c.Files)
}

// inlineRun puts here-documents into the command: one alone is the script itself, several are given to the shell.
func inlineRun(op Run, files []instructions.ShellInlineFile) (Op, error) {
	doc, err := parser.ParseHeredoc(op.Args[0])
	if err != nil {
		return nil, err
	}
	if doc == nil {
		var b strings.Builder
		b.WriteString(op.Args[0])
		for _, f := range files {
			fmt.Fprintf(&b, "\n%s%s", f.Data, f.Name)
		}
		op.Args = []string{b.String()}
		return op, nil
	}
	data := files[0].Data
	if files[0].Chomp {
		data = parser.ChompHeredocContent(data)
	}
	if !strings.HasPrefix(data, "#!") {
		op.Args = []string{data}
		return op, nil
	}
	if name := files[0].Name; name != path.Base(name) || name == "." || name == ".." {
		return nil, fmt.Errorf("here-document %q: a script's name cannot be a path", name)
	}
	op.Script, op.ScriptName = data, files[0].Name
	op.Args = []string{path.Join("/dev/pipes", op.ScriptName)}
	return op, nil
}

func mount(m *instructions.Mount) Mount {
	out := Mount{
		Kind: MountKind(m.Type), From: m.From, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Size: m.SizeLimit,
		ID: m.CacheID, Sharing: Sharing(m.CacheSharing), Required: m.Required, Env: m.Env,
		Mode: narrow(m.Mode), UID: narrow(m.UID), GID: narrow(m.GID),
	}
	if out.Kind == MountCache && out.Sharing == "" {
		out.Sharing = SharingShared
	}
	return out
}

func narrow(v *uint64) *uint32 {
	if v == nil {
		return nil
	}
	n := uint32(*v)
	return &n
}

func inlines(cs []instructions.SourceContent) []Inline {
	var out []Inline
	for _, c := range cs {
		out = append(out, Inline{c.Path, c.Data})
	}
	return out
}

func copyOp(c *instructions.CopyCommand) Op {
	return Copy{
		From: c.From, Sources: c.SourcePaths, Inline: inlines(c.SourceContents), Dest: c.DestPath, Chown: c.Chown,
		Chmod: c.Chmod, Link: c.Link, Parents: c.Parents, Excludes: c.ExcludePatterns,
	}
}

func addOp(c *instructions.AddCommand) Op {
	return Copy{
		Add: true, Sources: c.SourcePaths, Inline: inlines(c.SourceContents), Dest: c.DestPath, Chown: c.Chown,
		Chmod: c.Chmod, Link: c.Link, Excludes: c.ExcludePatterns, Checksum: c.Checksum, KeepGit: c.KeepGitDir, Unpack: c.Unpack,
	}
}
