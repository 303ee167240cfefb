package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/moss-sandbox/moss/sandbox/spec"
)

// links checks --link NAME[:ALIAS] and keeps the containers by their ids: a name may change.
func (e *Engine) links(ctx context.Context, sp *spec.Spec) error {
	h := &sp.Host
	for i, l := range h.Links {
		name, alias, _ := strings.Cut(l, ":")
		c, err := e.Find(ctx, name)
		if err != nil {
			return fmt.Errorf("could not get container for %s: %w", name, err)
		}
		if alias == "" {
			alias = c.Spec.Name
		}
		if h.Network == string(spec.FromHost) || c.Spec.Host.Network == string(spec.FromHost) {
			return fmt.Errorf("conflicting options: host type networking can't be used with links. This would result in undefined behavior")
		}
		if !running(c) {
			return fmt.Errorf("Cannot link to a non running container: /%s AS /%s/%s", c.Spec.Name, sp.Name, alias)
		}
		h.Links = append(append(append([]string{}, h.Links[:i]...), c.ID+":"+alias), h.Links[i+1:]...)
	}
	return nil
}

// linkLines are the lines of /etc/hosts for the containers that are linked, those that run at this time.
func (e *Engine) linkLines(sp *spec.Spec) string {
	var b strings.Builder
	for _, l := range sp.Host.Links {
		id, alias, _ := strings.Cut(l, ":")
		c, err := e.Dirs.Open(id).Look()
		if err != nil {
			continue
		}
		for _, a := range Attachments(c) {
			if a.IPv4.IsValid() && a.NetworkName == sp.Host.Network {
				fmt.Fprintf(&b, "%s\t%s %s %s\n", a.IPv4.Addr(), alias, c.Spec.Host.Hostname, c.Spec.Name)
			}
		}
	}
	return b.String()
}
