package engine

import (
	"encoding/json"
	"fmt"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/host"
	"github.com/moss-sandbox/moss/limits/warden"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/spec"
)

// limit decides what the specification says of a container's limits: what was asked for, what will carry it here, and in
// one line what is weaker than Docker's. The last word is the server's, when the container is born.
func (e *Engine) limit(l limits.Limits, strict bool, sp *spec.Spec) error {
	if l.Empty() {
		return nil
	}
	plan, err := e.expect(l, sp)
	if err != nil {
		return err
	}
	sp.Limits.Strict = strict || e.Config.Strict
	if err := limits.Strict(plan.Weak); err != nil && sp.Limits.Strict {
		return err
	}
	if sp.Limits.Asked, err = json.Marshal(l); err != nil {
		return fmt.Errorf("internal error: writing limits: %w", err)
	}
	if sp.Limits.Enforced == nil {
		sp.Limits.Enforced = map[string]string{}
	}
	for name, m := range plan.Enforced {
		sp.Limits.Enforced[name] = string(m)
	}
	sp.Limits.Warning = limits.Warning(plan.Weak)
	return nil
}

// expect is the plan as it will be on this host, after a check of the limits.
func (e *Engine) expect(l limits.Limits, sp *spec.Spec) (limits.Plan, error) {
	facts := host.Expect()
	facts.Filter, facts.Userns = filtered(sp), !shares(sp)
	var err error
	if facts.Devices, err = host.Devices(l.Paths()); err != nil {
		return limits.Plan{}, err
	}
	if err := l.Validate(facts); err != nil {
		return limits.Plan{}, err
	}
	return limits.Decide(facts, l), nil
}

// filtered tells whether the container runs under a filter of moss's, which can answer calls.
func filtered(sp *spec.Spec) bool {
	return !sp.Process.Privileged && !sp.Process.Seccomp.Unconfined
}

// shares tells whether the container is in another one's user namespace.
func shares(sp *spec.Spec) bool {
	for _, s := range []string{sp.Host.Network, string(sp.Host.PID), string(sp.Host.IPC)} {
		if len(s) > len(spec.Container) && s[:len(spec.Container)] == string(spec.Container) {
			return true
		}
	}
	return false
}

// Limits are what the container's user asked for.
func Limits(sp *spec.Spec) (l limits.Limits, err error) {
	if len(sp.Limits.Asked) == 0 {
		return l, nil
	}
	if err := json.Unmarshal(sp.Limits.Asked, &l); err != nil {
		return l, fmt.Errorf("limits of container %s: %w", sp.ID[:12], err)
	}
	return l, nil
}

// carried is how a container's limits are carried in its present or last life; false where nothing is.
func carried(c *sandbox.Snapshot) (s warden.State, ok bool) {
	return s, c.Limits(&s) == nil
}

// Enforced tells what carries each limit and right of a container.
func Enforced(c *sandbox.Snapshot) map[string]string {
	out := map[string]string{}
	for name, m := range c.Spec.Limits.Enforced {
		out[name] = m
	}
	if s, ok := carried(c); ok {
		for name, m := range s.Plan.Enforced {
			out[name] = string(m)
		}
	}
	return out
}

// OOMKilled tells whether a process of the container was killed for want of memory in its present or last life.
func OOMKilled(c *sandbox.Snapshot) bool {
	if c.State.OOMKilled {
		return true
	}
	s, _ := carried(c)
	return s.OOM
}

// LateWarning is what a container that was just started should tell of its limits: what is weaker than was thought when it was
// made, for instance since the host's manager did not answer. Nothing in most cases.
func (e *Engine) LateWarning(c *sandbox.Snapshot) []string {
	if len(c.Spec.Limits.Asked) == 0 || e.Config.Quiet {
		return nil
	}
	s, ok := carried(c)
	w := limits.Warning(s.Plan.Weak)
	if !ok || w == "" || w == c.Spec.Limits.Warning {
		return nil
	}
	return []string{w}
}
