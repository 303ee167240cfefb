package filter

import (
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/sandbox"
)

// Event tells whether an event passes.
func (f Set) Event(e sandbox.Event) bool {
	if !HasLabels(e.Attrs, f["label"]) ||
		!f.Any("type", func(v string) bool { return v == e.Type }) ||
		!f.Any("scope", func(v string) bool { return v == "local" }) ||
		!f.Any("event", func(v string) bool { return e.Act == v || strings.HasPrefix(e.Act, v+":") }) {
		return false
	}
	for _, kind := range []string{"container", "volume", "network", "image"} {
		if !f.Any(kind, func(v string) bool {
			return e.Type == kind && eventOf(e, v) || kind == "image" && sameImage(e.Attrs["image"], v)
		}) {
			return false
		}
	}
	return !slices.ContainsFunc([]string{"config", "daemon", "node", "plugin", "secret", "service"}, func(kind string) bool { return len(f[kind]) > 0 })
}

// eventOf tells whether an event's object is meant by a name or the beginning of an id.
func eventOf(e sandbox.Event, v string) bool {
	return v != "" && (e.Attrs["name"] == v || strings.HasPrefix(e.ID, v) || e.Type == "image" && sameImage(e.Attrs["name"], v))
}

// sameImage compares names with and without a tag.
func sameImage(have, v string) bool {
	return have != "" && (have == v || strings.HasPrefix(have, v+":"))
}
