package filter

import (
	"slices"
	"strings"
)

// A Set is what a list is narrowed with. Several values of one name are alternatives, but for labels, which all must hold.
type Set map[string][]string

// Any tells whether one of a filter's values is right, or there is no such filter.
func (f Set) Any(name string, right func(string) bool) bool {
	return len(f[name]) == 0 || slices.ContainsFunc(f[name], right)
}

// Labels tells whether an object has all labels that are asked for, and not all of those under label!.
func (f Set) Labels(have map[string]string) bool {
	return HasLabels(have, f["label"]) && (len(f["label!"]) == 0 || !HasLabels(have, f["label!"]))
}

// HasLabels tells whether all labels that are wanted are there, each NAME or NAME=VALUE.
func HasLabels(have map[string]string, wanted []string) bool {
	for _, l := range wanted {
		k, v, has := strings.Cut(l, "=")
		if got, ok := have[k]; !ok || has && got != v {
			return false
		}
	}
	return true
}

// NameMatches: Docker's filter is a regular expression; what people write are words with ^ and $.
func NameMatches(name, pattern string) bool {
	word, begins := strings.CutPrefix(pattern, "^")
	word, ends := strings.CutSuffix(word, "$")
	if begins && !strings.HasPrefix(word, "/") {
		name = strings.TrimPrefix(name, "/")
	}
	switch {
	case begins && ends:
		return name == word
	case begins:
		return strings.HasPrefix(name, word)
	case ends:
		return strings.HasSuffix(name, word)
	}
	return strings.Contains(name, word)
}
