package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/limits"
	"github.com/moss-sandbox/moss/limits/host"
	"github.com/moss-sandbox/moss/userns/probe"
)

// limitNames are the limits whose mechanism info tells, in its order, by their names in limits.Plan.
var limitNames = [][2]string{
	{"memory", "memory"}, {"cpus", "CPU time"}, {"shares", "CPU shares"}, {"cpuset", "CPU sets"}, {"pids", "processes"}, {"deviceRates", "block devices"},
}

// explainLimits puts what is known of limits in place of the two lines that only guess at it: who carries each one here, why it
// is no better, and what would change it.
func explainLimits(ctx context.Context, lines []HostLine) []HostLine {
	at := slices.IndexFunc(lines, func(l HostLine) bool { return l.Name == "limits" })
	if at < 0 {
		return lines
	}
	more := carriers(limits.Mechanisms(host.Expect()))
	for _, r := range host.Explain(host.Look(ctx)) {
		if r.Topic == "limits" {
			more = append(more, HostLine{Name: "limits", State: probe.Differs, Sentence: spoken(r.Text), Remedy: r.Remedy})
			continue
		}
		if i := slices.IndexFunc(lines, func(l HostLine) bool { return l.Name == "logout" && l.State != probe.Works }); i >= 0 {
			lines[i].Sentence, lines[i].Remedy = spoken(r.Text), r.Remedy
		}
	}
	return slices.Replace(lines, at, at+1, more...)
}

// carriers are a line for what the kernel enforces as Docker has it do, one for what moss sees to, and one for what nobody does.
func carriers(by map[string]limits.Mechanism) (out []HostLine) {
	var kernel, moss, nobody []string
	for _, n := range limitNames {
		switch by[n[0]] {
		case limits.ByCgroup, limits.ByRlimit, limits.ByAffinity:
			kernel = append(kernel, n[1])
		case limits.ByNothing:
			nobody = append(nobody, n[1])
		case limits.ByHost, "":
		default:
			moss = append(moss, n[1])
		}
	}
	if len(kernel) > 0 {
		out = append(out, HostLine{Name: "limits", State: probe.Works, Sentence: "The kernel enforces limits of " + listed(kernel) + "."})
	}
	if len(moss) > 0 {
		out = append(out, HostLine{Name: "limits", State: probe.Differs, Sentence: "Limits of " + listed(moss) + " are kept by moss and not by the kernel."})
	}
	if len(nobody) > 0 {
		out = append(out, HostLine{Name: "limits", State: probe.Differs, Sentence: "Limits of " + listed(nobody) + " have no effect; run says so, and --strict refuses."})
	}
	return out
}

func listed(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return words[0]
}

func spoken(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }
