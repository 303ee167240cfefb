package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// A Step is a command of a build: a container that nobody sees, with the confinement of run, whose changes are collected in
// a directory of the caller.
type Step struct {
	Lower       []string // top first; none on scratch
	Upper, Work string   // absolute

	Args, Env []string
	Dir, User string
	Network   string   // default, none, host
	Hosts     []string // name:address
	Mounts    []spec.Mount
	Scripts   []Script
	ShmSize   int64
	Ulimits   []Ulimit
	Limits    limits.Limits
	Labels    map[string]string

	Stdout, Stderr *os.File // write ends of pipes; the caller closes them
}

// A Script is an executable file that a step sees, of root.
type Script struct {
	Target string
	Data   []byte
}

// StepNetwork is the network of a build's commands: Docker's reaches the outside, so where the default network does not,
// it is this machine's.
func (e *Engine) StepNetwork(asked string) string {
	if asked != "" && asked != "default" {
		return asked
	}
	if n := e.DefaultNetwork(); n != string(spec.None) {
		return n
	}
	return string(spec.FromHost)
}

// RunStep runs a command to its end. A *supervisor.CommandError says that it could not be executed. When ctx ends, all its
// processes are killed first and the error is ctx's.
func (e *Engine) RunStep(ctx context.Context, s *Step) (supervisor.Exit, error) {
	none := supervisor.Exit{}
	env, err := e.Env()
	if err != nil {
		return none, err
	}
	sp, err := e.stepSpec(s)
	if err != nil {
		return none, err
	}
	box, served, err := e.Dirs.Reserve(sp)
	if err != nil {
		return none, err
	}
	defer served.Close()
	defer func() { _ = env.RemoveHalf(context.WithoutCancel(ctx), box) }() // what stays is swept by a later command
	if err := e.addScripts(box.Dir, s.Scripts, sp); err != nil {
		return none, err
	}
	links := hostFileLinks(sp.Root.Trees[0].Lower)
	c := &sandbox.Snapshot{Sandbox: box, Spec: sp, State: sandbox.State{V: 1, Status: sandbox.Created}}
	exit, err := serveStep(ctx, env, c, served, s)
	return exit, errors.Join(err, restoreLinks(s.Upper, links))
}

// serveStep has the step born and follows it to its end.
func serveStep(ctx context.Context, env *supervisor.Env, c *sandbox.Snapshot, served *os.File, s *Step) (supervisor.Exit, error) {
	g, err := env.Birth(ctx, c, served, [4]uint16{})
	if err != nil {
		return supervisor.Exit{}, err
	}
	pidfd, err := sys.DupAbove(g.Pidfd(), 3)
	if err != nil {
		_ = sys.PidfdSignal(g.Pidfd(), syscall.SIGKILL)
	} else {
		defer syscall.Close(pidfd)
		kill := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			_ = sys.PidfdSignal(pidfd, syscall.SIGKILL)
			close(kill)
		})
		defer func() {
			if !stop() {
				<-kill // before its descriptor is closed
			}
		}()
	}
	exit, serveErr := g.Serve(context.WithoutCancel(ctx), supervisor.Sinks{Stdout: s.Stdout, Stderr: s.Stderr})
	if ctx.Err() != nil {
		return exit, context.Cause(ctx)
	}
	return exit, errors.Join(err, serveErr)
}

// stepSpec specifies a step.
func (e *Engine) stepSpec(s *Step) (*spec.Spec, error) {
	kind, err := e.storage()
	if err != nil {
		return nil, err
	}
	if kind == spec.Copy {
		return nil, hint("install fuse-overlayfs, or build where the kernel allows overlay in user namespaces (Linux 5.13)",
			"RUN needs an overlay file system, which this machine does not give")
	}
	lower := s.Lower
	if len(lower) == 0 {
		lower = []string{e.emptyLayer()}
	}
	id := sandbox.NewID()
	sp := &spec.Spec{
		V: spec.Version, ID: id, Name: "build-" + id[:12], Created: time.Now(), AutoRemove: true, Restart: spec.Restart{Policy: "no"},
		Log: spec.Log{Driver: "none"}, Labels: s.Labels, Mounts: s.Mounts,
		Root: spec.Root{Kind: kind, Trees: []spec.Tree{{Target: "/", Lower: lower, Upper: s.Upper, Work: s.Work}}},
		Host: spec.Host{Network: e.StepNetwork(s.Network), ExtraHosts: s.Hosts, ShmSize: s.ShmSize},
	}
	o := &Create{User: s.User, Host: sp.Host}
	e.host(o, sp)
	if _, err := e.checkNetwork(sp); err != nil {
		return nil, err
	}
	if err := e.stepProcess(s, o, sp); err != nil {
		return nil, err
	}
	return sp, e.limit(s.Limits, false, sp)
}

func (e *Engine) stepProcess(s *Step, o *Create, sp *spec.Spec) (err error) {
	p := &sp.Process
	p.Args, p.Dir, p.NoNewPrivs = s.Args, s.Dir, e.Config.NoNewPrivs
	if p.Caps, err = capabilities(o); err != nil {
		return err
	}
	if p.Rlimits, err = rlimits(s.Ulimits); err != nil {
		return err
	}
	b := &base{config: &image.Settings{}, trees: sp.Root.Trees}
	if _, err := e.user(o, b, sp); err != nil {
		return err
	}
	p.Env = e.environment(s.Env, sp)
	return nil
}

// addScripts writes the scripts into the step's directory and has them shown.
func (e *Engine) addScripts(dir string, scripts []Script, sp *spec.Spec) error {
	for i, s := range scripts {
		name := dir + "/script" + strconv.Itoa(i)
		if err := os.WriteFile(name, s.Data, 0o755); err != nil {
			return err
		}
		if err := errors.Join(os.Chmod(name, 0o755), e.Dirs.Own(name)); err != nil { // whatever the umask
			return err
		}
		sp.Mounts = append(sp.Mounts, spec.Mount{Type: spec.Bind, Source: name, Target: s.Target, ReadOnly: true, File: true})
	}
	return nil
}

// hostFileLinks lists which of the files that a container gets from outside are links in its image. Such a link is replaced
// by a file for the mount when it leads nowhere, as /etc/resolv.conf does on machines with systemd-resolved.
func hostFileLinks(lower []string) (links []string) {
	for _, name := range []string{"etc/hosts", "etc/hostname", "etc/resolv.conf"} {
		for _, dir := range lower {
			mode, _, err := lookInRoot(dir, name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil && mode == syscall.S_IFLNK {
				links = append(links, name)
			}
			break
		}
	}
	return links
}

// restoreLinks removes the empty files that stand for links, so that the image keeps its own. Upper is foreign: nothing is
// followed.
func restoreLinks(upper string, links []string) error {
	for _, name := range links {
		mode, size, err := lookInRoot(upper, name)
		if err != nil || mode != syscall.S_IFREG || size != 0 {
			continue
		}
		if err := unlinkInRoot(upper, name); err != nil {
			return fmt.Errorf("giving the image its link %q back: %w", "/"+name, err)
		}
	}
	return nil
}

// lookInRoot looks at a name below a directory as if that were "/", without following the name itself.
func lookInRoot(dir, name string) (kind uint32, size int64, err error) {
	root, err := os.Open(dir)
	if err != nil {
		return 0, 0, err
	}
	defer root.Close()
	f, err := sys.OpenInRoot(int(root.Fd()), name, sys.OPath|syscall.O_NOFOLLOW)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	var st syscall.Stat_t
	err = syscall.Fstat(int(f.Fd()), &st)
	return st.Mode & syscall.S_IFMT, st.Size, err
}

// unlinkInRoot removes DIR/NAME where DIR is a real directory.
func unlinkInRoot(root, name string) error {
	parent, base, _ := strings.Cut(name, "/")
	r, err := os.Open(root)
	if err != nil {
		return err
	}
	defer r.Close()
	d, err := sys.OpenInRoot(int(r.Fd()), parent, sys.OPath|syscall.O_DIRECTORY|syscall.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer d.Close()
	return syscall.Unlinkat(int(d.Fd()), base)
}
