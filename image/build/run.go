package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/moss-sandbox/moss/image/build/dockerfile"
	"github.com/moss-sandbox/moss/image/build/task"
)

// run is RUN.
func (s *stage) run(ctx context.Context, step Step, op dockerfile.Run) (cached bool, err error) {
	if err := s.allowed(op); err != nil {
		return false, err
	}
	args := op.Args
	if op.Shell && op.Script == "" {
		args = append(slices.Clone(shellOf(s.cfg)), op.Args...)
	}
	if len(args) == 0 || args[0] == "" {
		return false, errors.New("RUN needs a command")
	}
	createdBy := runWords(args, s.buildArgs())
	depends, err := s.runDepends(ctx, op)
	if err != nil {
		return false, err
	}
	key := s.key("run", createdBy, depends...)
	simple := len(depends) == 0
	if hit, err := s.probe(ctx, key, createdBy, simple); hit || err != nil {
		return hit, err
	}
	r := &running{s: s, step: step, op: op, args: args}
	defer r.release()
	if err := r.execute(ctx); err != nil {
		return false, err
	}
	up := r.up
	r.up = Upper{}
	return false, s.commitUpper(ctx, key, createdBy, up, r.prune())
}

// allowed refuses what a Dockerfile alone must not decide.
func (s *stage) allowed(op dockerfile.Run) error {
	if op.Security == "insecure" {
		return errors.New("RUN --security=insecure is not allowed: commands have the confinement of run")
	}
	if len(op.Devices) > 0 {
		return errors.New("RUN --device is not supported")
	}
	if op.Network == "host" && s.b.o.Network != "host" {
		return &HostNetworkError{}
	}
	return nil
}

// A HostNetworkError is a RUN --network=host that the caller has not allowed.
type HostNetworkError struct{}

func (*HostNetworkError) Error() string { return "RUN --network=host is not allowed by this build" }

// Hints names the option.
func (*HostNetworkError) Hints() []string {
	return []string{"build with --network host if the Dockerfile may use this machine's network"}
}

// runDepends lists what the result depends on beside the words: network, script, mounts and the content of bind mounts.
// Secrets, agents and caches are not part of it.
func (s *stage) runDepends(ctx context.Context, op dockerfile.Run) ([]string, error) {
	var out []string
	if n := s.network(op); n != "default" {
		out = append(out, "network="+n)
	}
	if op.Script != "" {
		out = append(out, "script="+op.Script)
	}
	for _, m := range op.Mounts {
		words, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		out = append(out, string(words))
		if m.Kind != dockerfile.MountBind {
			continue
		}
		content, err := s.bindContent(ctx, m)
		if err != nil {
			return nil, err
		}
		out = append(out, content)
	}
	return out, nil
}

func (s *stage) network(op dockerfile.Run) string {
	if op.Network != "" && op.Network != "default" {
		return op.Network
	}
	if s.b.o.Network != "" {
		return s.b.o.Network
	}
	return "default"
}

// running is one execution of a command.
type running struct {
	s      *stage
	step   Step
	op     dockerfile.Run
	args   []string
	up     Upper
	mounts []Mount
	env    []string // of secrets and agents
	undo   []func()
	tail   tail
}

func (r *running) release() {
	for i := len(r.undo) - 1; i >= 0; i-- {
		r.undo[i]()
	}
	if r.up.Dir != "" {
		r.s.b.d.Trees.Discard(r.up)
	}
}

func (r *running) execute(ctx context.Context) error {
	b := r.s.b
	lowers, err := b.lowers(ctx, r.s.layers)
	if err != nil {
		return err
	}
	if err := r.prepareMounts(ctx); err != nil {
		return err
	}
	if r.up, err = b.d.Trees.NewUpper(ctx); err != nil {
		return err
	}
	if err := b.slot(ctx); err != nil {
		return err
	}
	defer b.freeSlot()
	b.emit(Running{Step: r.step, ID: containerID()})
	err = b.d.Runner.Run(ctx, r.command(lowers))
	var exit *ExitError
	if errors.As(err, &exit) {
		return r.failure(exit)
	}
	if err != nil {
		return fmt.Errorf("running %q: %w", strings.Join(r.args, " "), err)
	}
	return nil
}

func (r *running) command(lowers []string) Command {
	c := r.s.cfg.Config
	dir := c.WorkingDir
	if dir == "" {
		dir = "/"
	}
	return Command{
		Root: task.Stack{Lowers: lowers, Upper: r.up.Dir, Work: r.up.Work}, Args: r.args, Env: r.environment(), Dir: dir, User: c.User,
		Mounts: r.mounts, Network: r.s.network(r.op), Hosts: r.s.b.o.Hosts, Resources: r.s.b.o.Resources,
		Stdout: &printer{r, Stdout}, Stderr: &printer{r, Stderr},
	}
}

// environment is the image's, then the ARGs that no ENV hides, then proxies, secrets and the agent.
func (r *running) environment() []string {
	env := slices.Clone(r.s.cfg.Config.Env)
	for _, more := range [][]string{r.s.buildArgs(), r.s.b.proxies(r.s.args), r.env} {
		for _, kv := range more {
			name, _, _ := strings.Cut(kv, "=")
			if _, ok := getEnv(env, name); !ok {
				env = append(env, kv)
			}
		}
	}
	return env
}

func (r *running) failure(exit *ExitError) error {
	f := r.s.b.plan.File
	end := r.endLine()
	first, excerpt := f.Excerpt(r.step.Line, end, 2)
	return &RunError{
		Step: r.step, Command: strings.Join(r.args, " "), Exit: exit, Tail: r.tail.bytes(), File: f.Name, First: first, Excerpt: excerpt, EndLine: end,
	}
}

func (r *running) endLine() int {
	for _, in := range r.s.b.plan.File.Stages[r.s.index].Instructions {
		if in.Line == r.step.Line {
			return in.EndLine
		}
	}
	return r.step.Line
}

// standardMounts are what a sandbox mounts into every root, beside those of the instruction.
var standardMounts = []string{
	"/dev", "/proc", "/sys", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/mtab", "/.dockerenv", "/run/.containerenv",
}

func (r *running) prune() []string {
	out := slices.Clone(standardMounts)
	for _, m := range r.mounts {
		out = append(out, m.Target)
	}
	return out
}

func (r *running) target(m dockerfile.Mount, fallback string) (string, error) {
	p := m.Target
	if p == "" {
		p = fallback
	}
	if p == "" {
		return "", fmt.Errorf("RUN --mount=type=%s needs a target", m.Kind)
	}
	if p = path.Clean(absolute(r.s.cfg.Config.WorkingDir, p)); p == "/" {
		return "", fmt.Errorf("invalid mount target %q", m.Target)
	}
	return p, nil
}

// printer reports what a command writes and keeps its end.
type printer struct {
	r      *running
	stream Stream
}

func (p *printer) Write(b []byte) (int, error) {
	p.r.tail.add(b)
	p.r.s.b.emit(Printed{Step: p.r.step, Stream: p.stream, Data: slices.Clone(b)})
	return len(b), nil
}

// tail keeps the last bytes of a stream.
type tail struct {
	mu   sync.Mutex
	data []byte
}

const tailSize = 16 << 10

func (t *tail) add(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, b...)
	if len(t.data) > 2*tailSize {
		t.data = slices.Clone(t.data[len(t.data)-tailSize:])
	}
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.data[max(0, len(t.data)-tailSize):])
}
