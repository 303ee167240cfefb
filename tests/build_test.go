package tests

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

// dockerIO makes a registry stand for docker.io in a login.
func dockerIO(l *harness.Login, r harness.Registry) { l.Env = append(l.Env, "MOSS_DOCKER_IO="+r.Host) }

const twoStages = `file ctx/Dockerfile @%s
file ctx/app/greeting hello
`

// buildContext writes a Dockerfile and some files below ./ctx.
func buildContext(t *testing.T, l *harness.Login, dockerfile string) {
	t.Helper()
	text := filepath.Join(t.TempDir(), "Dockerfile")
	if err := os.WriteFile(text, []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	l.CreateTree(l.Work, fmt.Sprintf(twoStages, text))
}

func TestBuild(t *testing.T) {
	registry := harness.ServeRegistry(t, nil)
	registry.Push(t, "library/busybox:latest", harness.BusyboxImage(t))
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		dockerIO(l, registry)
		buildContext(t, l, `FROM busybox AS maker
ENV GREETING="good day"
WORKDIR /work
COPY app/ ./
RUN echo "$GREETING from $(id -u) in $(pwd)" > said && cat said
FROM busybox
COPY --from=maker /work /result
WORKDIR /result
CMD ["cat", "greeting", "said"]
`)
		out := l.Moss("build", "--network", "none", "-t", "two:1", "-t", "two:latest", "ctx").OK(t)
		for _, want := range []string{"Step 1/9 : FROM busybox AS maker\n", "\ngood day from 0 in /work\n", "\nSuccessfully tagged two:1\nSuccessfully tagged two:latest"} {
			if !strings.Contains(out, want) {
				t.Errorf("build lacks %q:\n%s", want, out)
			}
		}
		l.Moss("run", "--rm", "--network", "none", "two").Want(t, harness.Result{Stdout: "hello\ngood day from 0 in /work\n"})
		id := l.Moss("images", "-q", "--no-trunc", "two:1").OK(t)
		l.Moss("build", "--network", "none", "-q", "ctx").Want(t, harness.Result{Stdout: id + "\n"})
		if r := l.Moss("build", "--network", "none", "ctx"); strings.Count(r.Stdout, "Using cache") != 7 || strings.Contains(r.Stdout, "Running in") {
			t.Errorf("second build: %s", r)
		}
		history := l.Moss("history", "--no-trunc", "two:1").OK(t)
		if !strings.Contains(history, strings.TrimPrefix(id, "sha256:")) || strings.Count(history, "<missing>") != 0 {
			t.Errorf("history:\n%s", history)
		}
	})
}

// A command that fails ends the build with its code, shows where, and nothing is tagged; the steps before it stay.
func TestBuildFails(t *testing.T) {
	registry := harness.ServeRegistry(t, nil)
	registry.Push(t, "library/busybox:latest", harness.BusyboxImage(t))
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		dockerIO(l, registry)
		for _, c := range []struct {
			name, dockerfile string
			code             int
			text             string
		}{
			{"code", "FROM busybox\nRUN echo before; exit 7\n", 7, "   2 | >>> RUN echo before; exit 7\nmoss: The command '/bin/sh -c echo before; exit 7' returned a non-zero code: 7\n"},
			{"signal", "FROM busybox\nRUN sh -c 'kill -9 $$' || exit $?\n", 137, "non-zero code: 137"},
			{"no such command", "FROM busybox\nRUN [\"nosuch\"]\n", 127, `exec: "nosuch": executable file not found in $PATH`},
			{"no such file", "FROM busybox\nCOPY app/greetings /\n", 1, "greetings"},
			{"no such instruction", "FROM busybox\nRUNN true\n", 1, "RUNN"},
			{"no such user", "FROM busybox\nUSER nobody-here\nRUN true\n", 1, "unable to find user nobody-here"},
		} {
			t.Run(c.name, func(t *testing.T) {
				buildContext(t, l, c.dockerfile)
				r := l.Moss("build", "--network", "none", "-t", "failed", "ctx")
				if r.Code != c.code || !strings.Contains(r.Stdout+r.Stderr, c.text) {
					t.Errorf("got %s\nwant code %d and %q", r, c.code, c.text)
				}
				if r := l.Moss("images", "-q", "failed"); r.Stdout != "" {
					t.Errorf("something is tagged: %s", r)
				}
			})
		}
		l.Moss("build", "nosuch").Fails(t, 1, `unable to prepare context: path "nosuch" not found`)
	})
}

// A frontend that a Dockerfile names is never fetched, nothing of it runs (CVE-2024-23653). The control: FROM asks for the same name.
func TestBuildForeignSyntax(t *testing.T) {
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		var mu sync.Mutex
		asked := ""
		registry := harness.ServeRegistry(t, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				asked += r.URL.Path + "\n"
				mu.Unlock()
				next.ServeHTTP(w, r)
			})
		})
		evil := registry.Host + "/evil/frontend:1"
		for _, c := range []struct {
			dockerfile string
			code       int
			asks       bool
		}{{"# syntax=" + evil + "\nFROM scratch\nLABEL a=b\n", 0, false}, {"FROM " + evil + "\n", 1, true}} {
			buildContext(t, l, c.dockerfile)
			mu.Lock()
			asked = ""
			mu.Unlock()
			r := l.Moss("build", "--network", "none", "ctx")
			mu.Lock()
			if r.Code != c.code || strings.Contains(asked, "evil/frontend") != c.asks {
				t.Errorf("%q: %s, the registry was asked for %q", c.dockerfile, r, asked)
			}
			mu.Unlock()
		}
	})
}

// RUN sees what its mounts show and leaves nothing of it in the image; two equal layers can be stood on.
func TestBuildMounts(t *testing.T) {
	registry := harness.ServeRegistry(t, nil)
	registry.Push(t, "library/busybox:latest", harness.BusyboxImage(t))
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		dockerIO(l, registry)
		l.Env = append(l.Env, "WORD=sesame")
		buildContext(t, l, `FROM busybox AS other
RUN mkdir /o && echo other > /o/file && ln -s /etc/passwd /o/link
FROM busybox
RUN --mount=type=secret,id=word,mode=0444 [ "$(cat /run/secrets/word)" = sesame ]
RUN --mount=type=secret,id=word,uid=7,gid=8,mode=0400,target=/key stat -c 'key %u:%g %a' /key
RUN --mount=type=cache,target=/cache echo kept >> /cache/log && echo cache $(wc -l < /cache/log)
RUN --mount=type=bind,target=/ctx cat /ctx/app/greeting
RUN --mount=type=bind,from=other,source=/o,target=/o,rw cat /o/file && head -n 1 /o/link && echo x > /o/new
RUN --mount=type=tmpfs,target=/scratch touch /scratch/x && mount | grep -c ' on /scratch type tmpfs'
RUN true
RUN true
RUN <<EOF
#!/bin/sh
echo a script $((6*7))
EOF
CMD ["ls", "/cache", "/ctx", "/key", "/o", "/run/secrets", "/scratch"]
`)
		build := []string{"build", "--network", "none", "--no-cache", "--secret", "id=word,env=WORD", "-t", "mounts", "ctx"}
		l.Moss(build...).OK(t)
		out := l.Moss(build...).OK(t)
		key := "\nkey 7:8 400\n"
		if l.Ids == harness.OneID {
			key = "\nkey " // the one id there is
		}
		for _, want := range []string{key, "\ncache 2\n", "\nhello\n", "\nother\nroot:", "\n1\n", "\na script 42\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("build lacks %q:\n%s", want, out)
			}
		}
		r := l.Moss("run", "--rm", "--network", "none", "mounts")
		if r.Stdout != "" || strings.Count(r.Stderr, "No such file") != 6 {
			t.Errorf("the image has what only its builds should: %s", r)
		}
	})
}

// At a terminal a build shows what is under way: stages side by side, each with its time and the end of its output; what is done
// stays, and afterwards nothing of the display does.
func TestBuildTerminal(t *testing.T) {
	registry := harness.ServeRegistry(t, nil)
	registry.Push(t, "library/busybox:latest", harness.BusyboxImage(t))
	eachLogin(t, func(t *testing.T, l *harness.Login) {
		dockerIO(l, registry)
		buildContext(t, l, `FROM busybox AS slow
RUN echo from the slow one; while [ ! -e /go ]; do sleep 0.1; [ $((i=i+1)) -gt 20 ] && break; done; touch /slow
FROM busybox AS other
RUN echo from the other one; sleep 1; touch /other
FROM busybox
COPY --from=slow /slow /
COPY --from=other /other /
`)
		term := l.Terminal("moss", "build", "--network", "none", "-t", "live", "ctx")
		term.Expect(`\[\+\] Building \d+\.\ds \(\d/7\)`)
		term.Expect(` => # from the (slow|other) one`)
		term.Expect(`\[other 4/7\] RUN echo from the other one.*  \d+\.\ds`)
		term.Expect(`\[stage-2 7/7\] COPY --from=other /other /  \d+\.\ds`)
		term.Expect(`Successfully tagged live:latest`)
		if code := term.Wait(); code != 0 {
			t.Fatalf("build ends with %d:\n%s", code, term.Shown())
		}
		term = l.Terminal("moss", "build", "--network", "none", "ctx")
		term.Expect(`\[slow 2/7\] RUN .*  CACHED`)
		term.Expect(`Successfully built`)
		if code := term.Wait(); code != 0 {
			t.Errorf("second build ends with %d", code)
		}
		buildContext(t, l, "FROM busybox\nRUN for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done; exit 3\n")
		term = l.Terminal("moss", "build", "--network", "none", "ctx")
		term.Expect(`ERROR\s+line 1\s(?s:.*)line 9\s`) // all of it, not the last lines only
		term.Expect(`returned a non-zero code: 3`)
		if code := term.Wait(); code != 3 {
			t.Errorf("a failed build ends with %d", code)
		}
		if r := l.Moss("build", "--network", "none", "--progress", "plain", "ctx"); strings.Contains(r.Stdout+r.Stderr, "\x1b") || !strings.Contains(r.Stdout, "line 9\n") {
			t.Errorf("plain: %s", r)
		}
	})
}
