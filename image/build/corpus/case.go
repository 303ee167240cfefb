package corpus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moss-sandbox/moss/image/build"
)

// A Case is one directory.
type Case struct {
	Name    string
	Dir     string
	Options []string
	Want    string
	Buildah string
}

// Cases reads all cases below dir, sorted by name.
func Cases(dir string) ([]Case, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []Case
	for _, f := range found {
		c := Case{Name: f.Name(), Dir: filepath.Join(dir, f.Name())}
		if !f.IsDir() {
			continue
		}
		var opts string
		for file, to := range map[string]*string{"want": &c.Want, "options": &opts, "buildah": &c.Buildah} {
			b, err := os.ReadFile(filepath.Join(c.Dir, file))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			*to = string(b)
		}
		c.Options = strings.FieldsFunc(opts, func(r rune) bool { return r == '\n' })
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Context returns the case's context directory; one without is given the empty directory.
func (c Case) Context(empty string) string {
	dir := filepath.Join(c.Dir, "context")
	if _, err := os.Stat(dir); err != nil {
		return empty
	}
	return dir
}

// Build returns the case's options for package build. The Dockerfile is read from the case.
func (c Case) Build(empty string) (build.Options, error) {
	o := build.Options{
		Source: build.Source{Dir: c.Context(empty)}, Dockerfile: filepath.Join(c.Dir, "Dockerfile"), BuildArgs: map[string]string{},
		Labels: map[string]string{}, Contexts: map[string]string{}, Secrets: map[string]build.Secret{},
	}
	for _, line := range c.Options {
		name, value, _ := strings.Cut(line, "=")
		k, v, _ := strings.Cut(value, "=")
		switch name {
		case "--build-arg":
			o.BuildArgs[k] = v
		case "--label":
			o.Labels[k] = v
		case "--target":
			o.Target = value
		case "--build-context":
			o.Contexts[k] = strings.ReplaceAll(v, "CASE", c.Dir)
		case "--secret":
			o.Secrets[strings.TrimPrefix(strings.Split(v, ",")[0], "")] = build.Secret{File: strings.ReplaceAll(value[strings.Index(value, "src=")+4:], "CASE", c.Dir)}
		default:
			return o, fmt.Errorf("case %s: unknown option %q", c.Name, line)
		}
	}
	return o, nil
}
