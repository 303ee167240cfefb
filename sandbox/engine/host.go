package engine

import (
	"context"
	"os"

	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/probe"
)

// A HostLine tells one ability of this machine in plain words.
type HostLine = probe.Line

// A Host is what this machine lets this account do.
type Host struct {
	facts   probe.Facts
	network bool   // containers get networks of their own in this release
	limits  bool   // and limits
	backend string // of networks, as configured
	lines   []HostLine
}

// Host measures the machine; it takes some 50 ms and leaves nothing. The error is ctx's: whatever is refused is a result.
func (e *Engine) Host(ctx context.Context) (*Host, error) {
	h, err := measure(ctx, e.Dirs.Data)
	if err != nil {
		return nil, err
	}
	if env, err := e.Env(); err == nil {
		h.network, h.limits, h.backend = env.Network != nil, env.Group != nil, e.Config.NetBackend
	}
	h.lines = explainLimits(ctx, probe.Sentences(h.facts))
	return h, nil
}

// HostWithoutData measures where no data root can be used, for the administrator's script.
func HostWithoutData(ctx context.Context) (*Host, error) { return measure(ctx, os.TempDir()) }

func measure(ctx context.Context, dataRoot string) (*Host, error) {
	id, err := userns.Identify()
	if err != nil {
		return nil, err
	}
	f, err := probe.Host(ctx, probe.Request{Identity: id, DataRoot: dataRoot})
	return &Host{facts: f}, err
}

// Lines are the sentences of `moss info`. What this release has not is not judged.
func (h *Host) Lines() (out []HostLine) {
	for _, l := range h.lines {
		switch l.Name {
		case "network", "ping", "tun":
			if !h.network {
				continue
			}
		case "limits":
			if !h.limits {
				continue
			}
		}
		out = append(out, l)
		if l.Name == "network" {
			out = append(out, h.networkLines()...)
		}
	}
	return out
}

// Check is an error with the cause and its remedies where `run` cannot work.
func (h *Host) Check() error { return probe.Check(h.facts) }

// AdminScript is the administrator's script for this account; under sudo for the account that called it.
func (h *Host) AdminScript() string {
	user := h.facts.User
	if caller := getenv("SUDO_USER"); h.facts.Session.Sudo && caller != "" {
		user = caller
	}
	return probe.AdminScript(h.facts, user)
}
