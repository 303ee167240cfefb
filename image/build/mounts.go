package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	buildctx "github.com/moss-sandbox/moss/image/build/context"
	"github.com/moss-sandbox/moss/image/build/dockerfile"
	"github.com/moss-sandbox/moss/image/build/task"
	"github.com/moss-sandbox/moss/image/build/tree"
)

// prepareMounts makes the instruction's mounts ready; what it makes is undone by release.
func (r *running) prepareMounts(ctx context.Context) error {
	for i, m := range r.op.Mounts {
		if err := r.mount(ctx, m, i); err != nil {
			return fmt.Errorf("preparing --mount=type=%s: %w", m.Kind, err)
		}
	}
	if r.op.Script != "" {
		r.mounts = append(r.mounts, Mount{Kind: MountFile, Target: r.args[0], Data: []byte(r.op.Script), Mode: 0o755, ReadOnly: true})
	}
	return nil
}

func (r *running) mount(ctx context.Context, m dockerfile.Mount, n int) error {
	switch m.Kind {
	case dockerfile.MountBind:
		return r.bind(ctx, m)
	case dockerfile.MountCache:
		return r.cache(ctx, m)
	case dockerfile.MountTmpfs:
		target, err := r.target(m, "")
		r.mounts = append(r.mounts, Mount{Kind: MountTmpfs, Target: target, Size: m.Size, Mode: valueOr(m.Mode, 0o1777)})
		return err
	case dockerfile.MountSecret:
		return r.secret(m)
	case dockerfile.MountSSH:
		return r.ssh(m, n)
	}
	return fmt.Errorf("unsupported mount type %q", m.Kind)
}

func valueOr(v *uint32, or uint32) uint32 {
	if v != nil {
		return *v
	}
	return or
}

// bind shows a part of the context, of a stage or of an image. What is written there is thrown away.
func (r *running) bind(ctx context.Context, m dockerfile.Mount) error {
	target, err := r.target(m, "")
	if err != nil {
		return err
	}
	stack, at, err := r.bindTree(ctx, m)
	if err != nil {
		return err
	}
	r.mounts = append(r.mounts, Mount{Kind: MountTree, Target: target, ReadOnly: m.ReadOnly, Tree: stack, Path: at})
	return nil
}

func (r *running) bindTree(ctx context.Context, m dockerfile.Mount) (task.Stack, string, error) {
	c, img, err := r.s.mountSource(ctx, m.From)
	if err != nil {
		return task.Stack{}, "", err
	}
	at := path.Clean("/" + m.Source)
	if c != nil {
		if m.ReadOnly && len(c.Ignore) == 0 && os.Geteuid() != 0 { // to root of a namespace the machine's root is a stranger
			return task.Stack{Lowers: []string{c.Path}, Host: true}, at, nil
		}
		return r.snapshot(ctx, c, at)
	}
	lowers, err := r.s.b.lowers(ctx, img.Layers)
	if err != nil {
		return task.Stack{}, "", err
	}
	stack := task.Stack{Lowers: lowers}
	if !m.ReadOnly || len(lowers) == 0 {
		up, err := r.scratch(ctx)
		if err != nil {
			return stack, "", err
		}
		stack.Upper, stack.Work = up.Dir, up.Work
	}
	return stack, at, nil
}

// scratch makes an upper that is thrown away after the command.
func (r *running) scratch(ctx context.Context) (Upper, error) {
	up, err := r.s.b.d.Trees.NewUpper(ctx)
	if err == nil {
		r.undo = append(r.undo, func() { r.s.b.d.Trees.Discard(up) })
	}
	return up, err
}

// snapshot copies a part of a context, so that what .dockerignore hides stays hidden and the caller's files unwritten.
func (r *running) snapshot(ctx context.Context, c *buildctx.Context, at string) (task.Stack, string, error) {
	up, err := r.scratch(ctx)
	if err != nil {
		return task.Stack{}, "", err
	}
	stack := task.Stack{Upper: up.Dir}
	_, err = r.s.b.do(ctx, task.Task{Root: stack, Sources: []task.Stack{{Lowers: []string{c.Path}, Host: true}}, Actions: []task.Action{{Copy: &task.Copy{
		Select: tree.Selection{Sources: []string{literal(at)}, Ignore: c.Ignore}, Dest: "/data",
	}}}}, nil)
	return stack, "/data", err
}

// mountSource finds what from= means: a context, or an image.
func (s *stage) mountSource(ctx context.Context, from string) (*buildctx.Context, Image, error) {
	if from == "" {
		return s.b.main, Image{}, nil
	}
	base, err := s.b.plan.Source(from, s.index, s.b.o)
	if err != nil {
		return nil, Image{}, err
	}
	if base.Kind == BaseContext {
		c, err := s.b.named(ctx, base.Name)
		return c, Image{}, err
	}
	img, err := s.b.base(ctx, base, s.b.plan.Stages[s.index].Platform)
	return nil, img, err
}

// bindContent is what a bind mount shows, for the cache key.
func (s *stage) bindContent(ctx context.Context, m dockerfile.Mount) (string, error) {
	c, img, err := s.mountSource(ctx, m.From)
	if err != nil || c == nil {
		return string(img.ID), err
	}
	sel := tree.Selection{Sources: []string{literal(path.Clean("/" + m.Source))}, Ignore: c.Ignore}
	return tree.Sum(c.Root, sel, s.b.memory(c), nil)
}

// cache gives a directory that stays from build to build.
func (r *running) cache(ctx context.Context, m dockerfile.Mount) error {
	target, err := r.target(m, "")
	if err != nil {
		return err
	}
	id := m.ID
	if id == "" {
		id = target
	}
	sum := sha256.Sum256([]byte(id))
	dir, err := r.volume(ctx, hex.EncodeToString(sum[:16]), m)
	if err != nil {
		return err
	}
	at, data := path.Clean("/"+m.Source), filepath.Join(dir, "data")
	r.mounts = append(r.mounts, Mount{Kind: MountTree, Target: target, ReadOnly: m.ReadOnly, Tree: task.Stack{Upper: data}, Path: at})
	return nil
}

// volume opens a cache mount's directory by its sharing: several at once, one after the other, or one for each.
func (r *running) volume(ctx context.Context, name string, m dockerfile.Mount) (string, error) {
	switch m.Sharing {
	case dockerfile.SharingLocked:
		unlock, err := r.s.b.lockVolume(ctx, name)
		if err != nil {
			return "", err
		}
		r.undo = append(r.undo, unlock)
	case dockerfile.SharingPrivate:
		free, unlock, err := r.s.b.freeVolume(name)
		if err != nil {
			return "", err
		}
		name = free
		r.undo = append(r.undo, unlock)
	}
	dir, err := r.s.b.d.Trees.Volume(ctx, name)
	if err != nil {
		return "", err
	}
	return dir, r.fillVolume(ctx, dir, m)
}

// fillVolume makes the directory the mount shows, with owner, mode and from='s content, once.
func (r *running) fillVolume(ctx context.Context, dir string, m dockerfile.Mount) error {
	if _, err := os.Lstat(filepath.Join(dir, "data")); err == nil {
		return nil
	}
	who := task.Who{Chown: fmt.Sprintf("%d:%d", valueOr(m.UID, 0), valueOr(m.GID, 0))}
	job := task.Task{Root: task.Stack{Upper: dir}, Actions: []task.Action{{Mkdir: &task.Mkdir{Path: "/data", Mode: valueOr(m.Mode, 0o755), Who: who}}}}
	if m.From != "" {
		c, img, err := r.s.mountSource(ctx, m.From)
		if err != nil {
			return err
		}
		src := task.Stack{}
		if c != nil {
			src.Lowers, src.Host = []string{c.Path}, true
		} else if src.Lowers, err = r.s.b.lowers(ctx, img.Layers); err != nil {
			return err
		}
		job.Sources = []task.Stack{src}
		job.Actions = append(job.Actions, task.Action{Copy: &task.Copy{
			Select: tree.Selection{Sources: []string{literal(path.Clean("/" + m.Source))}}, Dest: "/data/", Who: task.Who{Keep: c == nil},
		}})
	}
	_, err := r.s.b.do(ctx, job, nil)
	return err
}

// maxSecret is BuildKit's limit.
const maxSecret = 500 << 10

func (r *running) secret(m dockerfile.Mount) error {
	id := m.ID
	if m.Source != "" {
		id = m.Source
	}
	if id == "" && m.Target != "" {
		id = path.Base(m.Target)
	}
	if id == "" {
		return errors.New("one of id, target required")
	}
	data, ok, err := r.s.b.secret(id)
	if err != nil {
		return fmt.Errorf("secret %q: %w", id, err)
	}
	if !ok {
		if m.Required {
			return &MissingSecretError{ID: id}
		}
		return nil
	}
	if m.Env != nil {
		name := *m.Env
		if name == "" {
			name = id
		}
		r.env = append(r.env, name+"="+string(data))
		if m.Target == "" {
			return nil
		}
	}
	target, err := r.target(m, "/run/secrets/"+path.Base(id))
	r.mounts = append(r.mounts, Mount{
		Kind: MountFile, Target: target, ReadOnly: true, Data: data, Mode: valueOr(m.Mode, 0o400), UID: valueOr(m.UID, 0), GID: valueOr(m.GID, 0),
	})
	return err
}

// A MissingSecretError is a required secret or agent that the caller has not given.
type MissingSecretError struct {
	ID  string
	SSH bool
}

func (e *MissingSecretError) Error() string { return fmt.Sprintf("%q: not found", e.ID) }

// Hints names the option that gives it.
func (e *MissingSecretError) Hints() []string {
	if e.SSH {
		return []string{fmt.Sprintf("give it with --ssh %s, after starting ssh-agent", e.ID)}
	}
	return []string{fmt.Sprintf("give it with --secret id=%s,src=FILE or --secret id=%s,env=NAME", e.ID, e.ID)}
}

// secret reads a secret of the caller at the moment it is needed.
func (b *builder) secret(id string) (data []byte, ok bool, err error) {
	s, ok := b.o.Secrets[id]
	switch {
	case !ok:
		return nil, false, nil
	case s.Env != "":
		v, ok := os.LookupEnv(s.Env)
		return []byte(v), ok, nil
	case s.File == "":
		return s.Data, true, nil
	}
	f, err := os.Open(s.File)
	if err != nil {
		return nil, true, err
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(data) > maxSecret {
		err = fmt.Errorf("longer than %d bytes", maxSecret)
	}
	return data, true, err
}

func (r *running) ssh(m dockerfile.Mount, n int) error {
	id := m.ID
	if id == "" {
		id = "default"
	}
	host, ok := r.s.b.o.SSH[id]
	if !ok || host == "" {
		if m.Required {
			return &MissingSecretError{ID: id, SSH: true}
		}
		return nil
	}
	st, err := os.Stat(host)
	if err != nil {
		return err
	}
	if st.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%q is no socket: load the key into ssh-agent and give the agent's socket", host)
	}
	abs, err := filepath.Abs(host)
	if err != nil {
		return err
	}
	target, err := r.target(m, fmt.Sprintf("/run/buildkit/ssh_agent.%d", n))
	r.mounts = append(r.mounts, Mount{
		Kind: MountSocket, Target: target, Host: abs, Mode: valueOr(m.Mode, 0o600), UID: valueOr(m.UID, 0), GID: valueOr(m.GID, 0),
	})
	r.env = append(r.env, "SSH_AUTH_SOCK="+target)
	return err
}

// proxyNames are the predefined ARGs: they need no ARG line and are in neither history nor cache key.
var proxyNames = []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"}

func isProxy(name string) bool {
	for _, p := range proxyNames {
		if strings.EqualFold(name, p) {
			return true
		}
	}
	return false
}

// proxies lists the proxy variables a command sees, in both cases as given.
func (b *builder) proxies(args map[string]string) []string {
	all := map[string]string{}
	for _, from := range []map[string]string{b.o.Proxies, b.o.BuildArgs, args} {
		for k, v := range from {
			if isProxy(k) {
				all[k] = v
			}
		}
	}
	return list(all)
}
