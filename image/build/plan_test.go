package build

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/image/build/dockerfile"
)

// describe prints a plan in one line: needed stages as number:base(deps).
func describe(p *Plan) string {
	var out []string
	for i, s := range p.Stages {
		if !s.Needed {
			continue
		}
		base := s.Base.Name
		switch s.Base.Kind {
		case BaseScratch:
			base = "scratch"
		case BaseStage:
			base = fmt.Sprint("#", s.Base.Stage)
		case BaseContext:
			base = "dir " + base
		}
		out = append(out, fmt.Sprintf("%d@%d:%s%v", i, s.First, base, s.Deps))
	}
	return strings.Join(out, " ") + fmt.Sprintf(" =%d", p.Steps)
}

func lines(s string) string { return strings.ReplaceAll(s, "; ", "\n") }

func planOf(text string, o Options) (*Plan, error) {
	f, err := dockerfile.Parse(strings.NewReader(lines(text)), "Dockerfile")
	if err != nil {
		return nil, err
	}
	return NewPlan(f, o)
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		o                Options
	}{
		{"one stage", "FROM a; RUN x", "0@1:a[] =2", Options{}},
		{"scratch", "FROM scratch; COPY a b", "0@1:scratch[] =2", Options{}},
		{"two stages", "FROM a AS b; RUN x; FROM c; COPY --from=b x y", "0@1:a[] 1@3:c[0] =4", Options{}},
		{"by index", "FROM a; FROM c; COPY --from=0 x y", "0@1:a[] 1@2:c[0] =3", Options{}},
		{"unneeded is skipped", "FROM a AS x; RUN y; FROM b", "1@1:b[] =1", Options{}},
		{"stage on stage", "FROM a AS x; FROM x", "0@1:a[] 1@2:#0[0] =2", Options{}},
		{"case of names", "FROM a AS Build; FROM b; COPY --from=BUILD x y", "0@1:a[] 1@2:b[0] =3", Options{}},
		{"from an image", "FROM a; COPY --from=img:1 x y", "0@1:a[] =2", Options{}},
		{"mount from a stage", "FROM a AS x; FROM b; RUN --mount=from=x,target=/m y", "0@1:a[] 1@2:b[0] =3", Options{}},
		{"target", "FROM a AS x; FROM b AS y", "0@1:a[] =1", Options{Target: "x"}},
		{"target by number", "FROM a AS x; FROM b AS y", "0@1:a[] =1", Options{Target: "0"}},
		{"target's case", "FROM a AS x; FROM b AS y", "0@1:a[] =1", Options{Target: "X"}},
		{"ARG before FROM", "ARG v=1; ARG i=img:$v; FROM $i", "0@1:img:1[] =1", Options{}},
		{"build arg", "ARG v=1; FROM img:$v", "0@1:img:2[] =1", Options{BuildArgs: map[string]string{"v": "2"}}},
		{"default in FROM", "ARG v; FROM img:${v:-3}", "0@1:img:3[] =1", Options{}},
		{"cut in FROM", "ARG v=a/b/c; FROM img:${v##*/}", "0@1:img:c[] =1", Options{}},
		{"name of a later stage is an image", "FROM x; FROM a AS x", "1@1:a[] =1", Options{}},
		{"named context as image", "FROM a", "0@1:b[] =1", Options{Contexts: map[string]string{"a": "docker-image://b"}}},
		{"named context as directory", "FROM a", "0@1:dir a[] =1", Options{Contexts: map[string]string{"a": "/d"}}},
		{"named context instead of a stage", "FROM a AS x; FROM b; COPY --from=x y z", "0@1:b2[] 1@2:b[0] =3", Options{Contexts: map[string]string{"x": "docker-image://b2"}}},
		{"label is a step", "FROM a", "0@1:a[] =2", Options{Labels: map[string]string{"a": "b"}}},
		{"platform", "FROM --platform=$BUILDPLATFORM a", "0@1:a[] =1", Options{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := planOf(c.text, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(p); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text, want, hint string
		o                      Options
	}{
		{"blank base", "ARG v; FROM $v", "Dockerfile:2: base name ($v) should not be blank", "--build-arg v=", Options{}},
		{"mistyped argument", "ARG version=1; FROM ${versoin}", "should not be blank", "$version", Options{}},
		{"from itself", "FROM a AS x; COPY --from=x y z", "Dockerfile:2: circular dependency detected on stage: x", "", Options{}},
		{"circle of two", "FROM a AS x; COPY --from=y p q; FROM b AS y; COPY --from=x p q", "circular dependency detected on stage: x", "", Options{}},
		{"from a later stage", "FROM a AS x; COPY --from=y p q; FROM b AS y", `cannot copy from stage "y"`, "", Options{}},
		{"index too high", "FROM a; COPY --from=3 p q", "invalid stage index 3", "", Options{}},
		{"unknown target", "FROM a AS build; FROM b", `target stage "biuld" could not be found`, "did you mean build", Options{Target: "biuld"}},
		{"variable in --from", "FROM a; COPY --from=$x p q", "variable expansion is not supported for --from", "", Options{}},
		{"bad platform", "FROM --platform=linux/a/b/c a", "invalid platform", "", Options{}},
		{"required variable", "ARG v; FROM ${v:?give v}", "give v", "", Options{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := planOf(c.text, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if c.hint != "" && !strings.Contains(strings.Join(hintsOf(err), "\n"), c.hint) {
				t.Errorf("hints %q lack %q", hintsOf(err), c.hint)
			}
		})
	}
}
