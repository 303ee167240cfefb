package tree

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
	"syscall"
)

func hasWildcard(p string) bool { return strings.ContainsAny(p, `*?[\`) }

// glob expands wildcards component by component (and ** over any number of them) below pivot. The result is relative to
// pivot, begins with "/", and without wildcards is the pattern itself. Links on the way are followed inside the tree.
func (d *Dir) glob(pivot, pattern string, ignore *Patterns) ([]string, error) {
	if !hasWildcard(pattern) {
		return []string{pattern}, nil
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	found := []string{"/"}
	parts := strings.Split(strings.Trim(pattern, "/"), "/")
	for i, part := range parts {
		var next []string
		for _, at := range found {
			more, err := d.globPart(pivot, at, part, i == len(parts)-1)
			if err != nil {
				return nil, err
			}
			next = append(next, more...)
		}
		found = dedupe(next)
	}
	return slices.DeleteFunc(found, func(p string) bool {
		rel := strings.TrimPrefix(path.Join(pivot, p), "/")
		return rel != "" && ignore.Excludes(rel) && !ignore.mayReturn(rel)
	}), nil
}

func (d *Dir) globPart(pivot, at, part string, last bool) ([]string, error) {
	if part == "**" {
		return d.below(pivot, at, last, 0)
	}
	if !hasWildcard(part) {
		p := path.Join(at, part)
		if real, err := d.Real(path.Join(pivot, p)); err == nil {
			if _, err := d.statReal(real); err == nil {
				return []string{p}, nil
			}
		}
		return nil, nil
	}
	names, err := d.namesAt(path.Join(pivot, at))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range names {
		if ok, err := path.Match(part, n); err == nil && ok {
			out = append(out, path.Join(at, n))
		}
	}
	return out, nil
}

// maxDepth bounds walks; deeper trees are refused.
const maxDepth = 4096

// below lists at and every directory below it, and with files everything else too. Links are not entered.
func (d *Dir) below(pivot, at string, files bool, depth int) ([]string, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%q: more than %d directories deep", at, maxDepth)
	}
	names, err := d.namesAt(path.Join(pivot, at))
	if err != nil {
		return nil, err
	}
	out := []string{at}
	for _, n := range names {
		p := path.Join(at, n)
		st, err := d.statReal(path.Join(pivot, p))
		if err != nil {
			continue
		}
		if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
			more, err := d.below(pivot, p, files, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		} else if files {
			out = append(out, p)
		}
	}
	return out, nil
}

// namesAt lists a directory by its path in the tree; what is no directory has no names.
func (d *Dir) namesAt(p string) ([]string, error) {
	dir, err := d.At(p)
	if err != nil {
		return nil, nil
	}
	defer dir.Close()
	return dir.Names()
}

func dedupe(paths []string) []string {
	sort.Strings(paths)
	return slices.Compact(paths)
}

// near lists up to three names that look like the missing one, as paths in the tree.
func (d *Dir) near(real string) []string {
	dir, name := path.Split(real)
	var out []string
	names, _ := d.namesAt(dir)
	for _, n := range names {
		if similar(n, name) {
			out = append(out, strings.TrimPrefix(path.Join(dir, n), "/"))
		}
	}
	if len(out) == 0 {
		out = d.elsewhere(name)
	}
	return out[:min(len(out), 3)]
}

// elsewhere looks for the very name in the directories of the root.
func (d *Dir) elsewhere(name string) []string {
	var out []string
	names, _ := d.namesAt("/")
	for _, n := range names {
		p := path.Join("/", n, name)
		if _, err := d.statReal(p); err == nil && name != "" {
			out = append(out, strings.TrimPrefix(p, "/"))
		}
	}
	return out
}

// similar finds two names alike that differ in case, in the ending, or in one or two letters.
func similar(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if a == b || len(b) > 2 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
		return true
	}
	if strings.TrimSuffix(a, path.Ext(a)) == strings.TrimSuffix(b, path.Ext(b)) {
		return true
	}
	return len(a) > 2 && len(b) > 2 && withinEdits(a, b, 2)
}

// withinEdits tells whether a becomes b by at most n insertions, removals and replacements.
func withinEdits(a, b string, n int) bool {
	if n < 0 {
		return false
	}
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	if len(a) == 0 || len(b) == 0 {
		return len(a)+len(b) <= n
	}
	return withinEdits(a[1:], b, n-1) || withinEdits(a, b[1:], n-1) || withinEdits(a[1:], b[1:], n-1)
}
