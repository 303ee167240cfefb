//go:build !hot

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build"
	buildctx "github.com/moss-sandbox/moss/image/build/context"
	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/sandbox/engine/images"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

var buildCommand = Command{
	Name: "build", Aliases: []string{"image build", "builder build"}, Args: "[OPTIONS] PATH | URL | -", Short: "Build an image from a Dockerfile", Min: 1, Max: 1,
	Setup: func(fs *pflag.FlagSet) Runner {
		o := &buildOptions{}
		o.addFlags(fs)
		return func(ctx context.Context, app *App, args []string) error { return o.run(ctx, app, args[0]) }
	},
}

// buildOptions are the flags of build as typed.
type buildOptions struct {
	tags, buildArgs, labels, secrets, ssh, hosts, contexts, cacheFrom, cacheTo, outputs, ulimits []string

	file, target, network, platform, progress, iidfile string
	shm                                                string
	noCache, pull, quiet                               bool

	limits limits.Limits // of each RUN
}

func (o *buildOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringArrayVarP(&o.tags, "tag", "t", nil, "Name and optionally a tag (format: name:tag)")
	fs.StringVarP(&o.file, "file", "f", "", "Name of the Dockerfile (default: PATH/Dockerfile); - is standard input")
	fs.StringVar(&o.target, "target", "", "Set the target build stage to build")
	fs.StringArrayVar(&o.buildArgs, "build-arg", nil, "Set build-time variables")
	fs.StringArrayVar(&o.labels, "label", nil, "Set metadata for an image")
	fs.BoolVar(&o.noCache, "no-cache", false, "Do not use cache when building the image")
	fs.BoolVar(&o.pull, "pull", false, "Always attempt to pull all referenced images")
	fs.StringArrayVar(&o.secrets, "secret", nil, "Secret to expose to the build (id=NAME,src=FILE or env=VARIABLE)")
	fs.StringArrayVar(&o.ssh, "ssh", nil, "SSH agent socket to expose to the build (default or ID=SOCKET)")
	fs.StringArrayVar(&o.contexts, "build-context", nil, "Additional build contexts (NAME=PATH or NAME=docker-image://IMAGE)")
	fs.StringArrayVar(&o.hosts, "add-host", nil, "Add a custom host-to-IP mapping (host:ip)")
	fs.StringArrayVar(&o.cacheFrom, "cache-from", nil, "External cache sources (type=local,src=DIR)")
	fs.StringArrayVar(&o.cacheTo, "cache-to", nil, "Cache export destinations (type=local,dest=DIR)")
	fs.StringArrayVarP(&o.outputs, "output", "o", nil, "Output destination (type=local|tar|oci,dest=PATH)")
	fs.StringVar(&o.platform, "platform", "", "Set the platform of the image")
	fs.StringVar(&o.progress, "progress", "auto", "Set type of progress output (auto, plain, tty, quiet)")
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "Suppress the build output and print image ID on success")
	fs.StringVar(&o.iidfile, "iidfile", "", "Write the image ID to a file")
	o.addRunFlags(fs)
}

// addRunFlags adds what the commands of RUN are run with, and flags of other builders that change nothing here.
func (o *buildOptions) addRunFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.network, "network", "default", "Set the networking mode for the RUN instructions (default, none, host)")
	fs.StringVar(&o.shm, "shm-size", "", "Size of /dev/shm")
	fs.StringArrayVar(&o.ulimits, "ulimit", nil, "Ulimit options")
	fs.VarP(&o.limits.Memory, "memory", "m", "Memory limit")
	fs.Var(&o.limits.Swap, "memory-swap", "Swap limit equal to memory plus swap: -1 to enable unlimited swap")
	fs.Var(&o.limits.CPUs, "cpus", "Number of CPUs")
	fs.Int64VarP(&o.limits.Shares, "cpu-shares", "c", 0, "CPU shares (relative weight)")
	fs.Int64Var(&o.limits.Period, "cpu-period", 0, "Limit the CPU CFS (Completely Fair Scheduler) period")
	fs.Int64Var(&o.limits.Quota, "cpu-quota", 0, "Limit the CPU CFS (Completely Fair Scheduler) quota")
	fs.StringVar(&o.limits.Cpuset, "cpuset-cpus", "", "CPUs in which to allow execution (0-3, 0,1)")
	fs.StringVar(&o.limits.Mems, "cpuset-mems", "", "MEMs in which to allow execution (0-3, 0,1)")
	for name, def := range map[string]bool{"rm": true, "force-rm": false, "compress": false, "disable-content-trust": true, "load": false} {
		fs.Bool(name, def, "")
		_ = fs.MarkHidden(name)
	}
}

// run builds and reports.
func (o *buildOptions) run(ctx context.Context, app *App, where string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := o.options(app, where)
	if err != nil {
		return err
	}
	s, err := app.images()
	if err != nil {
		return err
	}
	d := o.display(app)
	b.Progress = d.Event
	if !o.isQuiet() {
		b.Progress = app.withNetworkNote(b.Network, d)
	}
	res, err := s.Build(ctx, b, d.pulls())
	seen := d.close()
	if err != nil {
		return app.buildError(interrupted(ctx, err), !seen)
	}
	if o.iidfile != "" {
		if err := build.IIDFile(o.iidfile, res.ID); err != nil {
			return err
		}
	}
	if o.isQuiet() {
		fmt.Fprintln(app.Out, res.ID)
		return nil
	}
	for _, w := range res.Warnings {
		app.buildWarning(w)
	}
	return nil
}

func (o *buildOptions) isQuiet() bool { return o.quiet || o.progress == "quiet" }

// withNetworkNote says once, before the first command, that it has this machine's network although nobody has asked for it.
func (a *App) withNetworkNote(asked string, d buildDisplay) func(build.Event) {
	e, err := a.Engine()
	said := err != nil || e.Config.Quiet || asked != "default" || e.StepNetwork(asked) != string(spec.FromHost)
	return func(ev build.Event) {
		if _, ok := ev.(build.Running); ok && !said {
			said = true
			d.aside(func() { a.note("RUN uses this machine's network; --network none takes it away") })
		}
		d.Event(ev)
	}
}

func (a *App) buildWarning(w build.Warned) {
	if w.Line > 0 {
		a.note("warning: line %d: %s", w.Line, Quote(w.Message))
	}
}

// buildError shows where a build has failed; the exit code is that of the command that failed.
func (a *App) buildError(err error, unseen bool) error {
	var run *build.RunError
	if errors.As(err, &run) {
		if unseen {
			_, _ = a.Err.Write(run.Tail)
		}
		fmt.Fprintf(a.Err, "%s:%d\n", Quote(run.File), run.Step.Line)
	}
	var at interface{ Lines() []string }
	if errors.As(err, &at) {
		for _, l := range at.Lines() {
			fmt.Fprintln(a.Err, Quote(l))
		}
	}
	if run != nil {
		return &ExitError{Code: run.ExitCode(), Err: err}
	}
	return err
}

// options turns the flags into a build's options.
func (o *buildOptions) options(app *App, where string) (b build.Options, err error) {
	switch o.progress {
	case "auto", "plain", "tty", "quiet":
	default:
		return b, fmt.Errorf("invalid progress %q: use auto, plain, tty or quiet", o.progress)
	}
	b = build.Options{
		Dockerfile: o.file, Target: o.target, NoCache: o.noCache, Network: o.network, Hosts: o.hosts, Proxies: images.Proxies(),
		BuildArgs: pairs(o.buildArgs, true), Labels: pairs(o.labels, false), SSH: map[string]string{}, Secrets: map[string]build.Secret{}, Contexts: map[string]string{},
	}
	if o.pull {
		b.Pull = build.PullAlways
	}
	if o.platform != "" {
		if b.Platform, err = image.ParsePlatform(o.platform); err != nil {
			return b, err
		}
	}
	for _, set := range []func(*build.Options) error{o.setTags, o.setSecrets, o.setSSH, o.setContexts, o.setHosts, o.setCaches, o.setResources} {
		if err := set(&b); err != nil {
			return b, err
		}
	}
	if err := o.setOutputs(app, &b); err != nil {
		return b, err
	}
	return b, o.setSource(app, &b, where)
}

// pairs reads NAME=VALUE; NAME alone takes the caller's variable where that is asked for, and else is empty.
func pairs(words []string, fromEnv bool) map[string]string {
	out := map[string]string{}
	for _, w := range words {
		name, value, set := strings.Cut(w, "=")
		if !set && fromEnv {
			if value, set = os.LookupEnv(name); !set {
				continue
			}
		}
		out[name] = value
	}
	return out
}

func (o *buildOptions) setTags(b *build.Options) error {
	for _, t := range o.tags {
		r, err := image.ParseRef(t)
		if err != nil {
			return &ExitError{Code: 125, Err: fmt.Errorf("invalid argument %q for \"-t, --tag\" flag: %w", t, err)}
		}
		if r.Digest != "" {
			return fmt.Errorf("invalid tag %q: a tag has no digest", t)
		}
		b.Tags = append(b.Tags, r)
	}
	return nil
}

// commaFields reads KEY=VALUE,… ; a word without = is given as the key "".
func commaFields(word string) map[string]string {
	out := map[string]string{}
	for f := range strings.SplitSeq(word, ",") {
		if k, v, ok := strings.Cut(f, "="); ok {
			out[k] = v
		} else {
			out[""] = f
		}
	}
	return out
}

func either(m map[string]string, keys ...string) string {
	for _, k := range keys {
		if m[k] != "" {
			return m[k]
		}
	}
	return ""
}

func (o *buildOptions) setSecrets(b *build.Options) error {
	for _, w := range o.secrets {
		f := commaFields(w)
		id, file, env := f["id"], either(f, "src", "source"), f["env"]
		if id == "" || f["type"] != "" && f["type"] != "file" && f["type"] != "env" {
			return fmt.Errorf("invalid secret %q: write id=NAME,src=FILE or id=NAME,env=VARIABLE", w)
		}
		if file == "" && env == "" {
			if _, ok := os.LookupEnv(id); ok && f["type"] != "file" {
				env = id
			} else {
				file = id
			}
		}
		if f["type"] == "env" && env == "" {
			file, env = "", file
		}
		if file != "" {
			if _, err := os.Stat(file); err != nil {
				return fmt.Errorf("could not use secret %q: %w", id, err)
			}
		}
		b.Secrets[id] = build.Secret{File: file, Env: env}
	}
	return nil
}

func (o *buildOptions) setSSH(b *build.Options) error {
	for _, w := range o.ssh {
		id, socket, _ := strings.Cut(w, "=")
		if socket == "" {
			socket = os.Getenv("SSH_AUTH_SOCK")
		}
		if socket == "" {
			return fmt.Errorf("invalid --ssh %q: no agent: SSH_AUTH_SOCK is not set", w)
		}
		b.SSH[id] = socket
	}
	return nil
}

func (o *buildOptions) setContexts(b *build.Options) error {
	for _, w := range o.contexts {
		name, value, ok := strings.Cut(w, "=")
		if !ok || name == "" || value == "" {
			return fmt.Errorf("invalid context value: %s, expected key=value", w)
		}
		b.Contexts[name] = value
	}
	return nil
}

func (o *buildOptions) setHosts(b *build.Options) error {
	for i, h := range o.hosts {
		name, addr, ok := strings.Cut(h, "=")
		if !ok {
			name, addr, ok = strings.Cut(h, ":")
		}
		if !ok || name == "" || addr == "" {
			return fmt.Errorf("bad format for add-host: %q", h)
		}
		b.Hosts[i] = name + ":" + strings.Trim(addr, "[]")
	}
	return nil
}

func (o *buildOptions) setCaches(b *build.Options) error {
	for _, list := range []struct {
		words []string
		dir   []string
		to    *[]build.CacheSpec
	}{{o.cacheFrom, []string{"src", "dest"}, &b.CacheFrom}, {o.cacheTo, []string{"dest", "src"}, &b.CacheTo}} {
		for _, w := range list.words {
			f := commaFields(w)
			c := build.CacheSpec{Type: f["type"], Ref: either(f, append(list.dir, "ref")...)}
			if f[""] != "" {
				c = build.CacheSpec{Type: "registry", Ref: f[""]}
			}
			if c.Type != "local" && c.Type != "registry" || c.Ref == "" {
				return fmt.Errorf("invalid cache %q: write type=local,%s=DIR or type=registry,ref=NAME", w, list.dir[0])
			}
			*list.to = append(*list.to, c)
		}
	}
	return nil
}

// toStdout tells whether the result is written to standard output.
func (o *buildOptions) toStdout() bool {
	for _, w := range o.outputs {
		f := commaFields(w)
		if w == "-" || (f["type"] == "tar" || f["type"] == "oci") && (either(f, "dest") == "" || f["dest"] == "-") {
			return true
		}
	}
	return false
}

func (o *buildOptions) setOutputs(app *App, b *build.Options) error {
	for _, w := range o.outputs {
		f := commaFields(w)
		out := build.Output{Kind: build.OutputKind(f["type"]), Dest: f["dest"]}
		switch {
		case w == "-":
			out = build.Output{Kind: build.OutputTar}
		case f[""] != "":
			out = build.Output{Kind: build.OutputLocal, Dest: f[""]}
		case f["type"] == "image" || f["type"] == "docker" && f["dest"] == "":
			continue // the store has it anyway
		}
		switch out.Kind {
		case build.OutputLocal:
			if out.Dest == "" {
				return fmt.Errorf("invalid output %q: type=local needs dest=DIR", w)
			}
		case build.OutputTar, build.OutputOCI:
			if out.Dest == "" || out.Dest == "-" {
				if f, ok := app.outFile(); ok && isTerminal(f) {
					return errors.New("an archive is not written to a terminal: redirect it or name a file with dest=")
				}
				out.Dest, out.To = "", app.Out
			}
		default:
			return fmt.Errorf("invalid output %q: the type is local, tar or oci", w)
		}
		b.Outputs = append(b.Outputs, out)
	}
	return nil
}

func (o *buildOptions) setResources(b *build.Options) error {
	l := o.limits
	b.Resources = build.Resources{
		Memory: int64(l.Memory), MemorySwap: int64(l.Swap), CPUs: float64(l.CPUs) / float64(limits.OneCPU), CPUShares: l.Shares,
		CPUPeriod: l.Period, CPUQuota: l.Quota, CPUSet: l.Cpuset, MemSet: l.Mems, Ulimits: o.ulimits,
	}
	if o.shm == "" {
		return nil
	}
	n, err := units.RAMInBytes(o.shm)
	if err != nil {
		return fmt.Errorf("invalid argument %q for \"--shm-size\" flag: %w", o.shm, err)
	}
	b.Resources.ShmSize = n
	return nil
}

// setSource finds the context and where the Dockerfile comes from.
func (o *buildOptions) setSource(app *App, b *build.Options, where string) error {
	if o.file == "-" {
		if where == "-" {
			return errors.New("invalid argument: can't use stdin for both build context and dockerfile")
		}
		text, err := io.ReadAll(io.LimitReader(app.In, maxDockerfile))
		if err != nil {
			return err
		}
		b.Dockerfile, b.Text = "", bytes.NewReader(text)
	}
	if where == "-" {
		b.Source.Stream = app.In
		return nil
	}
	if st, err := os.Stat(where); err == nil && st.IsDir() {
		b.Source.Dir = where
		return nil
	}
	if _, git := buildctx.ParseGit(where, true); git || buildctx.IsURL(where) {
		b.Source.URL = where
		return nil
	}
	return fmt.Errorf("unable to prepare context: path %q not found", where)
}

// maxDockerfile bounds a Dockerfile from standard input.
const maxDockerfile = 16 << 20
