package filter

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/engine"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/slirp"
)

// Container tells whether a container passes; before and since look for theirs among all.
func (f Set) Container(c *sandbox.Snapshot, all []*sandbox.Snapshot) bool {
	created := func(name string) (time.Time, bool) {
		for _, o := range all {
			if o.Spec.Name == strings.TrimPrefix(name, "/") || strings.HasPrefix(o.ID, name) {
				return o.Spec.Created, true
			}
		}
		return time.Time{}, false
	}
	return f.Labels(c.Spec.Labels) &&
		f.Any("id", func(v string) bool { return strings.HasPrefix(c.ID, v) }) &&
		f.Any("name", func(v string) bool { return NameMatches("/"+c.Spec.Name, v) }) &&
		f.Any("status", func(v string) bool { return v == string(c.State.Status) }) &&
		f.Any("exited", func(v string) bool { return c.State.Status == sandbox.Exited && v == strconv.Itoa(c.State.ExitCode) }) &&
		f.Any("ancestor", func(v string) bool { return isOf(c, v) }) &&
		f.Any("before", func(v string) bool { t, ok := created(v); return ok && c.Spec.Created.Before(t) }) &&
		f.Any("since", func(v string) bool { t, ok := created(v); return ok && c.Spec.Created.After(t) }) &&
		f.Any("network", func(v string) bool { return onNetwork(c, v) }) &&
		f.Any("volume", func(v string) bool { return mounts(c, v) }) &&
		f.Any("publish", func(v string) bool { return published(c, v) }) &&
		f.Any("expose", func(v string) bool { _, ok := c.Spec.Config.ExposedPorts[withProto(v)]; return ok }) &&
		f.Any("is-task", func(v string) bool { on, err := strconv.ParseBool(v); return err == nil && !on }) &&
		f.Any("health", func(v string) bool {
			return c.State.Health != nil && c.State.Health.Status == v || c.State.Health == nil && v == "none"
		})
}

// isOf tells whether a container was made of an image.
func isOf(c *sandbox.Snapshot, v string) bool {
	hex := strings.TrimPrefix(v, "sha256:")
	return v == c.Spec.Image || v+":latest" == c.Spec.Image || v == c.Spec.Image+":latest" ||
		len(hex) >= 4 && strings.HasPrefix(strings.TrimPrefix(c.Spec.ImageID, "sha256:"), hex)
}

func onNetwork(c *sandbox.Snapshot, v string) bool {
	for _, a := range engine.Attachments(c) {
		if a.NetworkName == v || a.Network == v {
			return true
		}
	}
	return c.Spec.Host.Network == v || slices.ContainsFunc(c.Spec.Host.Connected, func(n spec.Connection) bool { return n.Network == v })
}

func mounts(c *sandbox.Snapshot, v string) bool {
	for _, m := range c.Spec.Mounts {
		if m.Name == v || m.Target == v || m.Source == v {
			return true
		}
	}
	return false
}

func withProto(p string) string {
	if strings.Contains(p, "/") {
		return p
	}
	return p + "/tcp"
}

func published(c *sandbox.Snapshot, v string) bool {
	return slices.ContainsFunc(engine.Published(c), func(p slirp.Published) bool {
		return p.Port.String() == withProto(v) || strconv.Itoa(int(p.Host.Port())) == strings.TrimSuffix(v, "/tcp")
	})
}
