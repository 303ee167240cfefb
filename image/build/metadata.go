package build

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build/dockerfile"
)

// metadata changes the configuration by an instruction that touches no file, and returns its words for the history. It is a
// pure function of its arguments. ok is false for instructions that do more.
func metadata(op dockerfile.Op, c *image.Config, cmdSet bool) (words string, ok bool, err error) {
	s := &c.Config
	switch op := op.(type) {
	case dockerfile.Env:
		for _, p := range op.Pairs {
			s.Env = setEnv(s.Env, p.Key, p.Value)
		}
		return pairWords("ENV", op.Pairs), true, nil
	case dockerfile.Label:
		if s.Labels == nil {
			s.Labels = map[string]string{}
		}
		for _, p := range op.Pairs {
			s.Labels[p.Key] = p.Value
		}
		return pairWords("LABEL", op.Pairs), true, nil
	case dockerfile.Maintainer:
		c.Author = op.Name
		return "MAINTAINER " + op.Name, true, nil
	case dockerfile.User:
		s.User = op.Name
		return "USER " + op.Name, true, nil
	case dockerfile.Volume:
		return volumes(s, op), true, nil
	case dockerfile.Expose:
		return expose(s, op), true, nil
	case dockerfile.StopSignal:
		words, err := stopSignal(s, op)
		return words, true, err
	case dockerfile.Shell:
		s.Shell = op.Args
		return fmt.Sprintf("SHELL %v", op.Args), true, nil
	case dockerfile.OnBuild:
		s.OnBuild = append(s.OnBuild, op.Text)
		return "ONBUILD " + op.Text, true, nil
	case dockerfile.Cmd:
		s.Cmd = resolve(c, op.CommandLine)
		s.ArgsEscaped = false
		return fmt.Sprintf("CMD %q", s.Cmd), true, nil
	case dockerfile.Entrypoint:
		s.Entrypoint = resolve(c, op.CommandLine)
		if !cmdSet {
			s.Cmd = nil // that of the base image belongs to the base's entry point
		}
		return fmt.Sprintf("ENTRYPOINT %q", s.Entrypoint), true, nil
	case dockerfile.Healthcheck:
		return healthcheck(s, op), true, nil
	}
	return "", false, nil
}

// resolve puts the shell in front of a shell form.
func resolve(c *image.Config, l dockerfile.CommandLine) []string {
	if !l.Shell {
		return l.Args
	}
	return append(slices.Clone(shellOf(c)), strings.Join(l.Args, " "))
}

// setEnv replaces or appends a variable; the order of first appearance stays.
func setEnv(env []string, key, value string) []string {
	out := slices.Clone(env)
	for i, kv := range out {
		if k, _, _ := strings.Cut(kv, "="); k == key {
			out[i] = key + "=" + value
			return out
		}
	}
	return append(out, key+"="+value)
}

func getEnv(env []string, key string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- {
		if k, v, _ := strings.Cut(env[i], "="); k == key {
			return v, true
		}
	}
	return "", false
}

func volumes(s *image.Settings, op dockerfile.Volume) string {
	if s.Volumes == nil {
		s.Volumes = map[string]struct{}{}
	}
	for _, v := range op.Paths {
		s.Volumes[v] = struct{}{}
	}
	return fmt.Sprintf("VOLUME %v", op.Paths)
}

func expose(s *image.Settings, op dockerfile.Expose) string {
	if s.ExposedPorts == nil {
		s.ExposedPorts = map[string]struct{}{}
	}
	for _, p := range op.Ports {
		s.ExposedPorts[p] = struct{}{}
	}
	return "EXPOSE " + strings.Join(op.Words, " ")
}

func stopSignal(s *image.Settings, op dockerfile.StopSignal) (string, error) {
	if !validSignal(op.Signal) {
		return "", fmt.Errorf("invalid signal: %s", op.Signal)
	}
	s.StopSignal = op.Signal
	return "STOPSIGNAL " + op.Signal, nil
}

// signals are Linux's names on the architectures moss runs on, and how far the real-time ones go.
const signals = " HUP INT QUIT ILL TRAP ABRT IOT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO POLL PWR SYS UNUSED "

func validSignal(s string) bool {
	var n int
	if _, err := fmt.Sscanf(s, "%d", &n); err == nil {
		return fmt.Sprint(n) == s && n > 0 && n <= 64
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if strings.HasPrefix(name, "RTMIN") || strings.HasPrefix(name, "RTMAX") {
		return true
	}
	return name != "" && strings.Contains(signals, " "+name+" ")
}

func healthcheck(s *image.Settings, op dockerfile.Healthcheck) string {
	s.Healthcheck = &image.Healthcheck{
		Test: op.Test, Interval: op.Interval, Timeout: op.Timeout, StartPeriod: op.StartPeriod, StartInterval: op.StartInterval, Retries: op.Retries,
	}
	h := s.Healthcheck // printed as the classic builder's %q of the struct
	return fmt.Sprintf("HEALTHCHECK &{%q %q %q %q %q %q}", h.Test, h.Interval.String(), h.Timeout.String(), h.StartPeriod.String(), h.StartInterval.String(), rune(h.Retries))
}

// change carries out a metadata instruction as a step.
func (s *stage) change(ctx context.Context, op dockerfile.Op) (cached bool, err error) {
	before := s.cfg
	next := s.cloneConfig()
	words, _, err := metadata(op, next, s.cmdSet)
	if err != nil {
		return false, err
	}
	if _, isCmd := op.(dockerfile.Cmd); isCmd {
		s.cmdSet = true
	}
	s.cfg = next
	return s.plainStep(ctx, nop(before, words))
}

// arguments is ARG: the values count from now on, the history has the file's defaults only.
func (s *stage) arguments(ctx context.Context, op dockerfile.Args) (cached bool, err error) {
	for i := range op.Args {
		if op.Args[i].Default != nil {
			v, err := s.b.plan.File.Word(dockerfile.NewExpander(s.environment()), *op.Args[i].Default)
			if err != nil {
				return false, err
			}
			op.Args[i].Default = &v
		}
		s.declare(op.Args[i])
	}
	s.cfg = s.cloneConfig()
	return s.plainStep(ctx, nop(s.cfg, argWords(op.Args)))
}

// declare gives a build argument its value: --build-arg, else the default, else an ARG from before the first FROM.
func (s *stage) declare(a dockerfile.Arg) {
	v, ok := s.b.o.BuildArgs[a.Name]
	if !ok && a.Default != nil {
		v, ok = *a.Default, true
	}
	if !ok {
		v, ok = s.b.plan.Globals[a.Name]
	}
	if !ok {
		delete(s.args, a.Name)
		return
	}
	s.args[a.Name] = v
}

// plainStep looks a step without files up or commits it; s.cfg is what it leads to.
func (s *stage) plainStep(ctx context.Context, createdBy string) (cached bool, err error) {
	key := s.key("plain", createdBy)
	if hit, err := s.probe(ctx, key, createdBy, true); hit || err != nil {
		return hit, err
	}
	return false, s.commit(ctx, key, createdBy, nil)
}

func (s *stage) workdir(op dockerfile.Workdir) string {
	if path.IsAbs(op.Path) {
		return path.Clean(op.Path)
	}
	return path.Join("/", s.cfg.Config.WorkingDir, op.Path)
}
