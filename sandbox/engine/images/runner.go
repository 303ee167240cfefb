package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/build/task"
	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/userns/sys"
)

// runner runs the commands of a build in sandboxes.
type runner struct {
	e     *engine.Engine
	trees build.Trees
	tasks build.Worker
}

var _ build.Runner = (*runner)(nil)

// Run implements build.Runner.
func (r *runner) Run(ctx context.Context, c build.Command) error {
	s, undo, err := r.step(ctx, c)
	defer undo()
	if err != nil {
		return err
	}
	out, err := pipeTo(c.Stdout)
	if err != nil {
		return err
	}
	defer out.end()
	errs, err := pipeTo(c.Stderr)
	if err != nil {
		return err
	}
	defer errs.end()
	s.Stdout, s.Stderr = out.w, errs.w
	exit, err := r.e.RunStep(ctx, s)
	out.end()
	errs.end()
	return outcome(exit, err, c.Stderr)
}

// outcome is a step's end in the words of a build. A command that cannot be executed has failed, as it would have in a shell.
func outcome(exit supervisor.Exit, err error, stderr io.Writer) error {
	var ce *supervisor.CommandError
	switch {
	case errors.As(err, &ce):
		fmt.Fprintln(stderr, ce.Error())
		return &build.ExitError{Code: ce.Code, Reason: ce.Error()}
	case err != nil:
		return err
	case exit.Code != 0:
		return &build.ExitError{Code: exit.Code, OOM: exit.OOM}
	}
	return nil
}

// step turns a command into a step; undo takes back what that made, also after an error.
func (r *runner) step(ctx context.Context, c build.Command) (s *engine.Step, undo func(), err error) {
	m := &mounts{r: r, script: c.Args[0]}
	s = &engine.Step{
		Lower: c.Root.Lowers, Upper: c.Root.Upper, Work: c.Root.Work, Args: c.Args, Env: c.Env, Dir: c.Dir, User: c.User,
		Network: c.Network, Hosts: c.Hosts, ShmSize: c.Resources.ShmSize, Labels: c.Labels,
	}
	for _, w := range c.Mounts {
		if err := m.add(ctx, w); err != nil {
			return nil, m.undo, fmt.Errorf("mount on %q: %w", w.Target, err)
		}
	}
	s.Mounts, s.Scripts = m.list, m.scripts
	if s.Ulimits, err = ulimits(c.Resources.Ulimits); err != nil {
		return nil, m.undo, err
	}
	s.Limits = asked(c.Resources)
	return s, m.undo, nil
}

// asked are a build's limits in the form of a container's.
func asked(r build.Resources) limits.Limits {
	return limits.Limits{
		Memory: limits.Size(r.Memory), Swap: limits.Swap(r.MemorySwap), CPUs: limits.CPUs(r.CPUs * float64(limits.OneCPU)), Shares: r.CPUShares,
		Period: r.CPUPeriod, Quota: r.CPUQuota, Cpuset: r.CPUSet, Mems: r.MemSet,
	}
}

// ulimits reads NAME=SOFT[:HARD]; -1 is no limit.
func ulimits(words []string) (out []engine.Ulimit, err error) {
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		soft, hard, two := strings.Cut(value, ":")
		if !two {
			hard = soft
		}
		s, serr := strconv.ParseInt(soft, 10, 64)
		h, herr := strconv.ParseInt(hard, 10, 64)
		if !ok || serr != nil || herr != nil || s < -1 || h < -1 {
			return nil, fmt.Errorf("invalid ulimit argument: %s", w)
		}
		out = append(out, engine.Ulimit{Name: name, Soft: uint64(s), Hard: uint64(h)})
	}
	return out, nil
}

// mounts makes the mounts of one step ready.
type mounts struct {
	r       *runner
	script  string // the command, if that is a script of the Dockerfile
	list    []spec.Mount
	scripts []engine.Script
	undoing []func()
}

func (m *mounts) undo() {
	for i := len(m.undoing) - 1; i >= 0; i-- {
		m.undoing[i]()
	}
}

func (m *mounts) add(ctx context.Context, w build.Mount) error {
	switch w.Kind {
	case build.MountTree:
		return m.tree(ctx, w)
	case build.MountFile:
		if w.Target == m.script {
			m.scripts = append(m.scripts, engine.Script{Target: w.Target, Data: w.Data})
			return nil
		}
		return m.secret(ctx, w)
	case build.MountTmpfs:
		m.list = append(m.list, tmpfs(w))
		return nil
	case build.MountSocket:
		m.list = append(m.list, spec.Mount{Type: spec.Bind, Source: w.Host, Target: w.Target, ReadOnly: w.ReadOnly, File: true})
		return nil
	}
	return fmt.Errorf("internal error: mount of kind %q", w.Kind)
}

func tmpfs(w build.Mount) spec.Mount {
	t := spec.Mount{Type: spec.Tmpfs, Target: w.Target, ReadOnly: w.ReadOnly, Options: []string{"exec", fmt.Sprintf("mode=%o", w.Mode)}}
	if w.Size > 0 {
		t.Options = append(t.Options, "size="+strconv.FormatInt(w.Size, 10))
	}
	return t
}

// tree shows a part of a tree. One directory is shown as it is; of several layers the part is copied, since it is foreign
// text that says where it lies and a link may lead from layer to layer.
func (m *mounts) tree(ctx context.Context, w build.Mount) error {
	root, at := onlyDirectory(w.Tree), w.Path
	if root == "" {
		up, err := m.r.trees.NewUpper(ctx)
		if err != nil {
			return err
		}
		m.undoing = append(m.undoing, func() { m.r.trees.Discard(up) })
		if err := m.copyPart(ctx, w, up.Dir); err != nil {
			return err
		}
		root, at = up.Dir, "/data"
	}
	isDir, err := isDirectory(root, at)
	if err != nil {
		return err
	}
	m.list = append(m.list, spec.Mount{Type: spec.Bind, Within: root, Source: at, Target: w.Target, ReadOnly: w.ReadOnly, File: !isDir})
	return nil
}

// onlyDirectory is the directory of a stack that is just one.
func onlyDirectory(s task.Stack) string {
	switch {
	case len(s.Lowers) == 0:
		return s.Upper
	case len(s.Lowers) == 1 && s.Upper == "":
		return s.Lowers[0]
	}
	return ""
}

// copyPart copies what a mount shows to "data" below a directory. What the command writes there is thrown away, so the
// stack's own upper is not needed.
func (m *mounts) copyPart(ctx context.Context, w build.Mount, dir string) error {
	res, err := m.r.tasks.Do(ctx, task.Task{
		Root: task.Stack{Upper: dir}, Sources: []task.Stack{{Lowers: w.Tree.Lowers}},
		Actions: []task.Action{{Copy: &task.Copy{Select: tree.Selection{Sources: []string{literal(w.Path)}}, Dest: "/data", Who: task.Who{Keep: true}}}},
	}, nil)
	if err != nil {
		return err
	}
	return res.Err()
}

// literal writes a path as a pattern that matches only that path.
func literal(p string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(p)
}

// isDirectory looks at a name below a directory as if that were "/". Another build may change it meanwhile, so the mount resolves
// it again.
func isDirectory(dir, name string) (bool, error) {
	root, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	f, err := sys.OpenInRoot(int(root.Fd()), path.Clean("/"+name), sys.OPath)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var st syscall.Stat_t
	err = syscall.Fstat(int(f.Fd()), &st)
	return st.Mode&syscall.S_IFMT == syscall.S_IFDIR, err
}

// secret shows a file whose content is in memory only.
func (m *mounts) secret(ctx context.Context, w build.Mount) error {
	dir, err := m.memory()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "data")
	if err := os.WriteFile(file, w.Data, 0o600); err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(file, os.FileMode(w.Mode&0o777)), m.r.e.Dirs.Own(file)); err != nil {
		return err
	}
	if w.UID != 0 || w.GID != 0 {
		if err := m.giveTo(ctx, w, dir); err != nil {
			return err
		}
	}
	m.list = append(m.list, spec.Mount{Type: spec.Bind, Source: filepath.Join(dir, "data"), Target: w.Target, ReadOnly: w.ReadOnly, File: true})
	return nil
}

// giveTo has a worker make the file belong to another user of the container: it replaces "data" by a copy.
func (m *mounts) giveTo(ctx context.Context, w build.Mount, dir string) error {
	src := filepath.Join(dir, "src")
	if err := errors.Join(os.Mkdir(src, 0o700), m.r.e.Dirs.Own(src), os.Rename(filepath.Join(dir, "data"), filepath.Join(src, "data"))); err != nil {
		return err
	}
	res, err := m.r.tasks.Do(ctx, task.Task{
		Root: task.Stack{Upper: dir}, Sources: []task.Stack{{Lowers: []string{src}}}, Actions: []task.Action{{Copy: &task.Copy{
			Select: tree.Selection{Sources: []string{"/data"}}, Dest: "/data", Chmod: fmt.Sprintf("%04o", w.Mode&0o777),
			Who: task.Who{Chown: fmt.Sprintf("%d:%d", w.UID, w.GID)},
		}}},
	}, nil)
	if err != nil {
		return err
	}
	return res.Err()
}

// A pipe copies what is written to its end to a writer.
type pipe struct {
	w    *os.File
	done chan struct{}
	once sync.Once
}

func pipeTo(to io.Writer) (*pipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &pipe{w: w, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer r.Close()
		_, _ = io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{r})
	}()
	return p, nil
}

// end closes the write end and waits until everything has been copied.
func (p *pipe) end() {
	p.once.Do(func() {
		p.w.Close()
		<-p.done
	})
}
