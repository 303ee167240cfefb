//go:build !hot

package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/filter"
)

// psRow is what a template of ps sees.
type psRow struct {
	ID, Image, Command, CreatedAt, RunningFor, Ports, State, Status, Size, Names, Labels, Mounts, Networks, LocalVolumes string
	c                                                                                                                    *sandbox.Snapshot
}

// Label is the value of a label.
func (r psRow) Label(name string) string { return r.c.Spec.Labels[name] }

var psHeads = map[string]string{
	"ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT", "RunningFor": "CREATED", "Ports": "PORTS",
	"State": "STATE", "Status": "STATUS", "Size": "SIZE", "Names": "NAMES", "Labels": "LABELS", "Mounts": "MOUNTS", "Networks": "NETWORKS",
	"LocalVolumes": "LOCAL VOLUMES",
}

// psFull is ps with filters, templates or sizes.
func (a *App) psFull(ctx context.Context, o psOptions) error {
	e, err := a.Engine()
	if err != nil {
		return err
	}
	f, err := parseFilters(o.filter, "id", "name", "label", "exited", "status", "ancestor", "before", "since", "volume", "network", "publish", "expose", "health", "is-task")
	if err != nil {
		return err
	}
	list, bad := e.List(ctx)
	for _, err := range bad {
		a.printError(err)
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Spec.Created.After(list[j].Spec.Created) })
	if o.latest {
		o.last = 1
	}
	var out []psRow
	for _, c := range list {
		if !o.all && o.last < 0 && !c.State.Status.Up() && len(f["status"])+len(f["exited"]) == 0 || o.last >= 0 && len(out) >= o.last || !f.Container(c, list) {
			continue
		}
		out = append(out, a.psRow(c, o))
	}
	if o.quiet {
		for _, r := range out {
			fmt.Fprintln(a.Out, r.ID)
		}
		return nil
	}
	format := o.format
	if format == "" || format == "table" {
		format = `table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}`
		if o.size {
			format += `\t{{.Size}}`
		}
	}
	return rows(a.Out, format, psHeads, out)
}

func (a *App) psRow(c *sandbox.Snapshot, o psOptions) psRow {
	r := psRow{
		ID: shortID(c.ID, o.long), Image: shortImage(c.Spec.Image, c.Spec.ImageID), Command: Command20(c.Spec.Process.Args, o.long),
		CreatedAt: c.Spec.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), RunningFor: units.HumanDuration(time.Since(c.Spec.Created)) + " ago",
		Ports: Ports(c), State: string(c.State.Status), Status: Status(c), Names: c.Spec.Name, Networks: c.Spec.Host.Network, c: c,
	}
	var labels, mounts []string
	for k, v := range c.Spec.Labels {
		labels = append(labels, k+"="+v)
	}
	sort.Strings(labels)
	volumes := 0
	for _, m := range c.Spec.Mounts {
		name := cmp.Or(m.Name, m.Source, m.Target)
		if m.Name != "" {
			volumes++
		}
		if !o.long && len(name) > 15 {
			name = name[:14] + "…"
		}
		mounts = append(mounts, name)
	}
	r.Labels, r.Mounts, r.LocalVolumes = strings.Join(labels, ","), strings.Join(mounts, ","), strconv.Itoa(volumes)
	if o.size || strings.Contains(o.format, ".Size") {
		rw, all := sizes(c)
		r.Size = units.HumanSizeWithPrecision(float64(*rw), 3) + " (virtual " + units.HumanSizeWithPrecision(float64(*all), 3) + ")"
	}
	return r
}

// parseFilters reads --filter options, NAME=VALUE with a known name.
func parseFilters(args []string, known ...string) (filter.Set, error) {
	f := filter.Set{}
	for _, s := range args {
		k, v, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("bad format of filter (expected name=value)")
		}
		k = strings.ToLower(strings.TrimSpace(k))
		if !slices.Contains(known, k) {
			return nil, fmt.Errorf("invalid filter '%s'", k)
		}
		f[k] = append(f[k], strings.TrimSpace(v))
	}
	return f, nil
}
