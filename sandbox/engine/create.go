package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/guest"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/userns/seccomp"
)

// A Created is a container that is there and was not started. Served is the right to serve it: whoever starts it keeps it
// until it is served no more, and closes it.
type Created struct {
	*sandbox.Snapshot
	Served   *os.File
	Warnings []string

	control func() // ends the answering of acts, in a foreground run
}

func (c *Created) endControl() {
	if c.control != nil {
		c.control()
	}
}

// Create makes a container. What a kill leaves of it is swept away by a later command; an error leaves nothing.
func (e *Engine) Create(ctx context.Context, o *Create) (*Created, error) {
	if err := checkName(o.Name); err != nil {
		return nil, err
	}
	base, err := e.base(ctx, o)
	if err != nil {
		return nil, err
	}
	defer base.release()
	if err := e.checkRoot(base); err != nil {
		return nil, err
	}
	sp, warnings, err := e.specify(ctx, o, base)
	if err != nil {
		return nil, err
	}
	return e.make(ctx, sp, base, warnings)
}

// make puts the container on disk.
func (e *Engine) make(ctx context.Context, sp *spec.Spec, base *base, warnings []string) (*Created, error) {
	s, served, err := e.Dirs.Reserve(sp)
	if err != nil {
		return nil, err
	}
	c := &Created{Snapshot: &sandbox.Snapshot{Sandbox: s, Spec: sp, State: sandbox.State{V: 1, Status: sandbox.Created}}, Served: served, Warnings: warnings}
	if err := e.fill(ctx, c, base); err != nil {
		e.discard(ctx, c)
		return nil, err
	}
	e.Dirs.Emit(c.Event("create"))
	return c, nil
}

// fill makes the container's directories and mounts, and publishes it.
func (e *Engine) fill(ctx context.Context, c *Created, base *base) error {
	for _, t := range c.Spec.Root.Trees {
		for _, d := range []string{t.Upper, t.Work} {
			if d == "" {
				continue
			}
			if err := e.makeLayerDir(c.Dir, d); err != nil {
				return err
			}
		}
	}
	if c.Spec.Root.Kind == spec.Copy {
		if err := e.Worker().CopyLayers(ctx, c.Spec.Root.Trees[0].Lower, c.Path("upper")); err != nil {
			return err
		}
	}
	if err := e.makeVolumes(ctx, c, base); err != nil {
		return err
	}
	return c.Publish(c.Spec)
}

// makeLayerDir makes a directory below the container's, with the mode that becomes the root directory's.
func (e *Engine) makeLayerDir(dir, name string) error {
	at := dir
	for part := range strings.SplitSeq(name, "/") {
		at += "/" + part
		if err := e.Dirs.Mkdir(at, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// discard takes back a container that was not finished.
func (e *Engine) discard(ctx context.Context, c *Created) {
	e.Dirs.DropName(c.Spec.Name, c.ID)
	if env, err := e.Env(); err == nil {
		_ = env.RemoveHalf(ctx, c.Sandbox)
	}
	c.Served.Close()
}

// checkName accepts what Docker accepts.
func checkName(name string) error {
	if name == "" {
		return nil
	}
	ok := len(name) > 1
	for i, r := range name {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		ok = ok && (alnum || i > 0 && strings.ContainsRune("_.-", r))
	}
	if !ok || len(name) > 255 {
		return fmt.Errorf("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	return nil
}

// specify decides everything that a container's specification says.
func (e *Engine) specify(ctx context.Context, o *Create, b *base) (*spec.Spec, []string, error) {
	id := sandbox.NewID()
	sp := &spec.Spec{
		V: spec.Version, ID: id, Name: o.Name, Created: time.Now(), Image: o.Image, ImageID: b.id, Host: o.Host,
		Restart: o.Restart, AutoRemove: o.AutoRemove, Log: o.Log, Health: health(o, b.config),
		Root: spec.Root{Kind: b.kind, Trees: b.trees, ReadOnly: o.ReadOnly, Volatile: o.AutoRemove},
	}
	if sp.Name == "" {
		sp.Name = e.freeName(id)
	}
	if sp.Restart.Policy == "" {
		sp.Restart.Policy = "no"
	}
	if sp.Log.Driver == "" {
		sp.Log.Driver = "json-file"
	}
	sp.Labels = maps.Clone(b.config.Labels)
	if sp.Labels == nil {
		sp.Labels = map[string]string{}
	}
	maps.Copy(sp.Labels, o.Labels)
	if err := checkShare(o); err != nil {
		return nil, nil, err
	}
	e.host(o, sp)
	other, err := e.share(ctx, sp)
	if err != nil {
		return nil, nil, err
	}
	warnings, err := e.process(o, b, sp)
	if err != nil {
		return nil, nil, err
	}
	if other != nil && e.single() { // the one id is the other's user there
		sp.Process.User.UID, sp.Process.User.GID = other.Spec.Process.User.UID, other.Spec.Process.User.GID
	}
	if err := e.links(ctx, sp); err != nil {
		return nil, nil, err
	}
	more, err := e.checkNetwork(sp)
	if err != nil {
		return nil, nil, err
	}
	warnings = append(warnings, more...)
	if err := e.limit(o.Limits, o.Strict, sp); err != nil {
		return nil, nil, err
	}
	if sp.Limits.Warning != "" && !e.Config.Quiet {
		warnings = append(warnings, sp.Limits.Warning)
	}
	if sp.Mounts, err = e.mounts(ctx, o, b); err != nil {
		return nil, nil, err
	}
	more, err = e.rootBinds(sp.Mounts)
	return sp, append(warnings, more...), err
}

const defaultShm = 64 << 20

func (e *Engine) host(o *Create, sp *spec.Spec) {
	h := &sp.Host
	if h.Network == "" || h.Network == "default" {
		h.Network = e.DefaultNetwork()
	}
	if h.ShmSize == 0 {
		h.ShmSize = defaultShm
	}
	h.Hostname = o.Hostname
	if h.Hostname == "" {
		h.Hostname = sp.ID[:12]
		if h.Network == string(spec.FromHost) || h.UTS == spec.FromHost {
			if n, err := os.Hostname(); err == nil {
				h.Hostname = n
			}
		}
	}
	h.Devices = o.Devices
}

// DefaultNetwork is the network of a container whose user names none.
func (e *Engine) DefaultNetwork() string {
	if e.Config.Network != "" {
		return e.Config.Network
	}
	return defaultNetwork
}

// process decides the command and its rights.
func (e *Engine) process(o *Create, b *base, sp *spec.Spec) (warnings []string, err error) {
	cfg := b.config
	entry, cmd := cfg.Entrypoint, cfg.Cmd
	if o.Entrypoint != nil {
		entry, cmd = *o.Entrypoint, nil
	}
	if len(o.Args) > 0 {
		cmd = o.Args
	}
	args := slices.Concat(entry, cmd)
	if len(args) == 0 {
		return nil, errors.New("no command specified")
	}
	p := &sp.Process
	p.Args, p.TTY, p.Stdin, p.StdinOnce = args, o.TTY, o.Stdin, o.StdinOnce
	p.Unmasked = o.Unmasked
	p.NoNewPrivs, p.Privileged, p.Seccomp = o.NoNewPrivs || e.Config.NoNewPrivs, o.Privileged, o.Seccomp
	p.Init, p.OOMScore = o.Init, o.OOMScore
	p.StopSignal, p.StopTimeout = cmp.Or(o.StopSignal, cfg.StopSignal), o.StopTime
	if p.StopTimeout == nil {
		p.StopTimeout = cfg.StopTimeout
	}
	p.Dir = cmp.Or(o.Dir, cfg.WorkingDir, "/")
	if !path.IsAbs(p.Dir) {
		if o.Dir != "" {
			return nil, fmt.Errorf("the working directory '%s' is invalid, it needs to be an absolute path", o.Dir)
		}
		p.Dir = "/" + p.Dir
	}
	if p.Caps, err = capabilities(o); err != nil {
		return nil, err
	}
	if p.Rlimits, err = rlimits(o.Ulimits); err != nil {
		return nil, err
	}
	warnings, err = e.user(o, b, sp)
	if err != nil {
		return nil, err
	}
	if o.Privileged {
		warnings = append(warnings, "--privileged gives all capabilities within the container's own namespaces, none over this machine")
	}
	env := mergeEnv(cfg.Env, o.Env)
	sp.Config = spec.Config{
		Env: env, Entrypoint: entry, Cmd: cmd, ExposedPorts: exposed(cfg.ExposedPorts, o.Expose), Volumes: cfg.Volumes, OnBuild: cfg.OnBuild,
		Shell: cfg.Shell, Domainname: o.Domainname, AttachStdin: o.AttachIn, AttachStdout: o.AttachOut, AttachStderr: o.AttachErr,
		Annotations: o.Annotation, CIDFile: o.CIDFile, Binds: binds(o.Volumes), CapAdd: o.CapAdd, CapDrop: o.CapDrop,
		SecurityOpt: o.Security, GroupAdd: o.Groups,
	}
	p.Env = e.environment(env, sp)
	return warnings, nil
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment adds what the runtime gives: PATH, HOSTNAME, TERM, HOME, in Docker's order.
func (e *Engine) environment(env []string, sp *spec.Spec) []string {
	out := []string{}
	add := func(v string) {
		name, _, _ := strings.Cut(v, "=")
		if !hasEnv(env, name) {
			out = append(out, v)
		}
	}
	add(defaultPath)
	add("HOSTNAME=" + sp.Host.Hostname)
	if sp.Process.TTY {
		add("TERM=xterm")
	}
	out = append(out, env...)
	if !hasEnv(env, "HOME") {
		out = append(out, "HOME="+cmp.Or(sp.Process.User.Home, "/"))
	}
	if e.single() && !hasEnv(env, "APT_CONFIG") {
		out = append(out, "APT_CONFIG="+guest.APTConfigPath)
	}
	return out
}

// single tells whether the user can map one id only.
func (e *Engine) single() bool {
	ns, err := e.Namespace()
	return err == nil && ns.Map.Single()
}

func hasEnv(env []string, name string) bool {
	return slices.ContainsFunc(env, func(v string) bool { n, _, _ := strings.Cut(v, "="); return n == name })
}

// mergeEnv lays the user's variables over the image's; NAME without = takes a variable away.
func mergeEnv(image, user []string) []string {
	out := slices.Clone(image)
	for _, v := range user {
		name, _, set := strings.Cut(v, "=")
		at := slices.IndexFunc(out, func(o string) bool { n, _, _ := strings.Cut(o, "="); return n == name })
		switch {
		case at >= 0 && set:
			out[at] = v
		case at >= 0:
			out = slices.Delete(out, at, at+1)
		case set:
			out = append(out, v)
		}
	}
	return out
}

func exposed(image map[string]struct{}, more []string) map[string]struct{} {
	out := maps.Clone(image)
	for _, p := range more {
		if out == nil {
			out = map[string]struct{}{}
		}
		out[p] = struct{}{}
	}
	return out
}

func health(o *Create, c *image.Settings) *spec.Health {
	if o.NoHealth {
		return &spec.Health{Test: []string{"NONE"}}
	}
	h := &spec.Health{}
	if i := c.Healthcheck; i != nil {
		*h = spec.Health{Test: i.Test, Interval: i.Interval, Timeout: i.Timeout, StartPeriod: i.StartPeriod, StartInterval: i.StartInterval, Retries: i.Retries}
	}
	if u := o.Health; u != nil {
		if len(u.Test) > 0 {
			h.Test = u.Test
		}
		h.Interval, h.Timeout = over(u.Interval, h.Interval), over(u.Timeout, h.Timeout)
		h.StartPeriod, h.StartInterval = over(u.StartPeriod, h.StartPeriod), over(u.StartInterval, h.StartInterval)
		h.Retries = over(u.Retries, h.Retries)
	}
	if len(h.Test) == 0 {
		return nil
	}
	return h
}

// over is the user's value, or what stands below it.
func over[T comparable](user, below T) T {
	var zero T
	if user != zero {
		return user
	}
	return below
}

// capabilityNames in the order of their numbers, capabilities(7).
var capabilityNames = strings.Fields("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE " +
	"NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT " +
	"SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE " +
	"MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE")

const allCaps = 1<<41 - 1

// capabilities is the command's set: Docker's fourteen, less what is dropped, plus what is added; with the machine's
// network without NET_RAW, which would be refused there.
func capabilities(o *Create) (uint64, error) {
	if o.Privileged {
		return allCaps, nil
	}
	set := seccomp.DefaultCaps
	drop, err := capSet("CapDrop", o.CapDrop)
	if err != nil {
		return 0, err
	}
	add, err := capSet("CapAdd", o.CapAdd)
	if err != nil {
		return 0, err
	}
	if o.Host.Network == string(spec.FromHost) {
		set &^= 1 << 13
	}
	if drop == allCaps {
		return add, nil
	}
	return set&^drop | add, nil
}

func capSet(option string, names []string) (set uint64, err error) {
	for _, n := range names {
		name := strings.TrimPrefix(strings.ToUpper(n), "CAP_")
		if name == "ALL" {
			return allCaps, nil
		}
		i := slices.Index(capabilityNames, name)
		if i < 0 {
			return 0, fmt.Errorf("invalid %s: unknown capability: %q", option, "CAP_"+name)
		}
		set |= 1 << i
	}
	return set, nil
}

// CapabilityNames are the names of a set, with CAP_.
func CapabilityNames(set uint64) (out []string) {
	for i, n := range capabilityNames {
		if set>>i&1 != 0 {
			out = append(out, "CAP_"+n)
		}
	}
	return out
}

// binds are the -v options in Docker's form, for inspect.
func binds(v []VolumeSpec) (out []string) {
	for _, s := range v {
		if s.Source == "" || !s.MakeDir {
			continue
		}
		b := s.Source + ":" + s.Target
		if s.Mode != "" {
			b += ":" + s.Mode
		}
		out = append(out, b)
	}
	return out
}
