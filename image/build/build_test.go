package build_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/build/buildtest"
)

// A site is an engine with a busybox image named base, and a context.
type site struct {
	*buildtest.Engine
	t      *testing.T
	dir    string
	cached []string
	done   []string
	out    strings.Builder
	text   strings.Builder // the classic output
	warned []string
}

func newSite(t *testing.T, files ...string) *site {
	t.Helper()
	s := &site{Engine: buildtest.New(t), t: t, dir: t.TempDir()}
	s.Busybox(t, "base")
	s.files(files...)
	return s
}

// files writes "name=content" into the context.
func (s *site) files(words ...string) {
	s.t.Helper()
	for _, w := range words {
		name, content, _ := strings.Cut(w, "=")
		p := filepath.Join(s.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(content), 0o644)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) options(dockerfile string) build.Options {
	s.cached, s.done, s.warned = nil, nil, nil
	s.out.Reset()
	s.text.Reset()
	classic := &build.Classic{Text: func(t string) { s.text.WriteString(t) }}
	return build.Options{
		Source: build.Source{Dir: s.dir}, Text: strings.NewReader(strings.ReplaceAll(dockerfile, "; ", "\n")),
		Progress: func(e build.Event) { classic.Event(e); s.event(e) },
	}
}

func (s *site) event(e build.Event) {
	switch e := e.(type) {
	case build.Finished:
		if e.Cached {
			s.cached = append(s.cached, e.Step.Text)
		} else {
			s.done = append(s.done, e.Step.Text)
		}
	case build.Printed:
		s.out.Write(e.Data)
	case build.Warned:
		s.warned = append(s.warned, e.Message)
	}
}

func (s *site) build(dockerfile string, change ...func(*build.Options)) build.Result {
	s.t.Helper()
	r, err := s.try(dockerfile, change...)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.out.String())
	}
	return r
}

func (s *site) try(dockerfile string, change ...func(*build.Options)) (build.Result, error) {
	o := s.options(dockerfile)
	for _, c := range change {
		c(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := build.Build(ctx, o, s.Deps())
	if left := s.Left(); len(left) > 0 {
		s.t.Errorf("left behind: %v", left)
	}
	return r, err
}

// history returns the words of the steps above the base image.
func history(c *image.Config) []string {
	var out []string
	for _, h := range c.History[1:] {
		out = append(out, h.CreatedBy)
	}
	return out
}

// entries lists a layer: names with content, whiteouts as they are.
func entries(t *testing.T, layer []byte) string {
	t.Helper()
	var out []string
	for tr := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(tr)
		word := h.Name
		if h.Typeflag == tar.TypeReg && len(b) > 0 {
			word += "=" + strings.TrimSpace(string(b))
		}
		if h.Linkname != "" {
			word += "->" + h.Linkname
		}
		if h.Typeflag != tar.TypeLink && (h.Uid != 0 || h.Gid != 0) {
			word += fmt.Sprintf("(%d:%d)", h.Uid, h.Gid)
		}
		out = append(out, word)
	}
}

func (s *site) layers(r build.Result) []string {
	s.t.Helper()
	var out []string
	for _, b := range s.TarOf(s.t, r.Image, 1) {
		out = append(out, entries(s.t, b))
	}
	return out
}

func (s *site) wantLayers(r build.Result, want ...string) {
	s.t.Helper()
	if got := s.layers(r); !slices.Equal(got, want) {
		s.t.Errorf("layers:\ngot  %q\nwant %q", got, want)
	}
}

func TestStepsAreDockers(t *testing.T) {
	s := newSite(t, "app/main.py=print(1)", "app/x.txt=x")
	r := s.build(`FROM base; MAINTAINER  me@here; RUN mkdir /webapp; COPY  app /webapp/; WORKDIR /webapp; ENV A=1 B="two words"; EXPOSE 5000 53/udp; ` +
		`CMD ["python3","demo.py"]; LABEL k=v; USER web; VOLUME /data; STOPSIGNAL SIGINT; ARG V=3; ONBUILD RUN touch /x; ENTRYPOINT ["/bin/sh"]; SHELL ["/bin/ash","-c"]; RUN true`)
	want := []string{
		"/bin/sh -c #(nop)  MAINTAINER me@here", "/bin/sh -c mkdir /webapp", "/bin/sh -c #(nop) COPY dir:SUM in /webapp/ ", "/bin/sh -c #(nop) WORKDIR /webapp",
		"/bin/sh -c #(nop)  ENV A=1 B=two words", "/bin/sh -c #(nop)  EXPOSE 5000 53/udp", `/bin/sh -c #(nop)  CMD ["python3" "demo.py"]`,
		"/bin/sh -c #(nop)  LABEL k=v", "/bin/sh -c #(nop)  USER web", "/bin/sh -c #(nop)  VOLUME [/data]", "/bin/sh -c #(nop)  STOPSIGNAL SIGINT",
		"/bin/sh -c #(nop)  ARG V=3", "/bin/sh -c #(nop)  ONBUILD RUN touch /x", `/bin/sh -c #(nop)  ENTRYPOINT ["/bin/sh"]`,
		"/bin/ash -c #(nop)  SHELL [/bin/ash -c]", "|1 V=3 /bin/ash -c true",
	}
	want[14] = "/bin/sh -c #(nop)  SHELL [/bin/ash -c]"
	got := history(r.Image.Config)
	for i := range got {
		if a, rest, ok := strings.Cut(got[i], "dir:"); ok {
			got[i] = a + "dir:SUM" + rest[64:]
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("history:\ngot  %q\nwant %q", got, want)
	}
	c := r.Image.Config
	if c.Author != "me@here" || c.Config.WorkingDir != "/webapp" || c.Config.User != "web" || c.Config.StopSignal != "SIGINT" || c.Config.Labels["k"] != "v" {
		t.Errorf("config %+v", c)
	}
	s.wantLayers(r, "webapp/", "webapp/ webapp/main.py=print(1) webapp/x.txt=x")
	if c.History[4].EmptyLayer != true {
		t.Error("WORKDIR on an existing directory has made a layer")
	}
}

func TestClassicOutput(t *testing.T) {
	s := newSite(t)
	r := s.build("FROM base; RUN echo hello; CMD x", func(o *build.Options) { o.Tags = []image.Ref{ref(t, "me:1")} })
	lines := strings.Split(s.text.String(), "\n")
	want := []string{"Step 1/3 : FROM base", " ---> ", "Step 2/3 : RUN echo hello", " ---> Running in ", "hello", " ---> Removed intermediate container ", " ---> ",
		"Step 3/3 : CMD x", " ---> " + r.ID.Short(), "Successfully built " + r.ID.Short(), "Successfully tagged me:1", ""}
	if len(lines) != len(want) {
		t.Fatalf("got %q", lines)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d: got %q, want %q…", i, lines[i], want[i])
		}
	}
	if s.Named("me:1") != r.ID {
		t.Error("the image has no name")
	}
}

func ref(t *testing.T, s string) image.Ref {
	t.Helper()
	r, err := image.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCacheByContent(t *testing.T) {
	s := newSite(t, "a=1", "b=1")
	const file = "FROM base; COPY a /a; RUN echo x >/x; COPY b /b"
	first := s.build(file)
	again := s.build(file)
	if again.ID != first.ID || len(s.done) > 0 {
		t.Errorf("an unchanged build did %q", s.done)
	}
	tasks := s.Tasks
	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(s.dir, "a"), now, now); err != nil {
		t.Fatal(err)
	}
	if s.build(file); len(s.done) > 0 || s.Tasks != tasks {
		t.Errorf("a new time did %q and %d tasks", s.done, s.Tasks-tasks)
	}
	s.files("b=2")
	if s.build(file); !slices.Equal(s.done, []string{"COPY b /b"}) {
		t.Errorf("a changed b did %q", s.done)
	}
	s.files("b=1")
	if back := s.build(file); back.ID != first.ID {
		t.Error("the old content is not found again")
	}
	s.Forget(first.ID)
	if s.build(file); !slices.Equal(s.done, []string{"COPY b /b"}) {
		t.Errorf("without the image of an entry %q was done", s.done)
	}
	s.build(file, func(o *build.Options) { o.NoCache = true })
	if len(s.done) != 3 {
		t.Errorf("--no-cache did %q", s.done)
	}
}

func TestBuildArgsAndTheCache(t *testing.T) {
	s := newSite(t)
	const file = "ARG G=global; FROM base; ARG V=1; ARG G; ARG HTTP_PROXY; RUN echo v=$V g=$G p=$HTTP_PROXY t=$TARGETARCH"
	s.build(file)
	if got := s.out.String(); got != "v=1 g=global p= t=\n" {
		t.Errorf("got %q", got)
	}
	with := func(k, v string) func(*build.Options) {
		return func(o *build.Options) { o.BuildArgs = map[string]string{k: v} }
	}
	if r := s.build(file, with("V", "2")); s.out.String() != "v=2 g=global p= t=\n" || !strings.Contains(strings.Join(history(r.Image.Config), "\n"), "|2 G=global V=2 /bin/sh -c echo") {
		t.Errorf("got %q, history %q", s.out.String(), history(r.Image.Config))
	}
	if s.build(file, with("HTTP_PROXY", "http://p")); len(s.done) > 0 {
		t.Errorf("a proxy did %q", s.done)
	}
	s.build(file, with("HTTP_PROXY", "http://p"), func(o *build.Options) { o.NoCache = true })
	if got := s.out.String(); got != "v=1 g=global p=http://p t=\n" {
		t.Errorf("got %q", got)
	}
}

func TestStages(t *testing.T) {
	s := newSite(t, "hello.py=hi")
	r := s.build("FROM base AS mybuilder ; RUN mkdir /code; COPY hello.py  /code/; WORKDIR /code; RUN chmod +x hello.py; FROM base AS unused; RUN exit 1; " +
		"FROM base; COPY --from=mybuilder  /code   /code1; WORKDIR /code1; CMD [\"./hello.py\"]")
	s.wantLayers(r, "code1/ code1/hello.py=hi")
	if len(s.Runs) != 2 {
		t.Errorf("%d commands ran", len(s.Runs))
	}
	tasks := s.Tasks
	if s.build("FROM base AS mybuilder ; RUN mkdir /code; COPY hello.py  /code/; WORKDIR /code; RUN chmod +x hello.py; FROM base; COPY --from=mybuilder  /code   /code1"); s.Tasks != tasks || len(s.done) > 0 {
		t.Errorf("an unchanged build did %d tasks and %q", s.Tasks-tasks, s.done)
	}
	// Another history of the same files: the copy stays in the cache.
	if s.build("FROM base AS mybuilder ; RUN mkdir /code ; COPY hello.py  /code/; RUN chmod 755 /code/hello.py; FROM base; COPY --from=mybuilder  /code   /code1"); slices.Contains(s.done, "COPY --from=mybuilder  /code   /code1") {
		t.Errorf("did %q", s.done)
	}
}

func TestFailingRun(t *testing.T) {
	s := newSite(t)
	_, err := s.try("FROM base; RUN echo before; RUN echo out; RUN echo something went wrong >&2 && \\; exit 7; RUN echo after", func(o *build.Options) {
		o.Tags = []image.Ref{ref(t, "never")}
	})
	var run *build.RunError
	if !errors.As(err, &run) {
		t.Fatalf("got %v", err)
	}
	if want := "The command '/bin/sh -c echo something went wrong >&2 && exit 7' returned a non-zero code: 7"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if run.ExitCode() != 7 || !strings.Contains(string(run.Tail), "something went wrong") {
		t.Errorf("code %d, tail %q", run.ExitCode(), run.Tail)
	}
	wantLines := "   2 |     RUN echo before\n   3 |     RUN echo out\n   4 | >>> RUN echo something went wrong >&2 && \\\n   5 | >>> exit 7\n   6 |     RUN echo after"
	if got := strings.Join(run.Lines(), "\n"); got != wantLines {
		t.Errorf("got\n%s", got)
	}
	if s.Named("never") != "" {
		t.Error("a failed build is tagged")
	}
	s.build("FROM base; RUN echo before; RUN echo out")
	if len(s.done) > 0 {
		t.Errorf("complete steps of the failed build were done again: %q", s.done)
	}
}

func TestRunLayers(t *testing.T) {
	s := newSite(t)
	r := s.build(`FROM base; RUN rm /etc/group && echo new >/etc/passwd; RUN rm -rf /var/log && mkdir /var/log && touch /var/log/a; RUN ln /bin/busybox /bin/bb2; RUN true`)
	got := s.layers(r)
	if len(got) != 3 || !strings.Contains(got[0], "etc/.wh.group") || !strings.Contains(got[0], "etc/passwd=new") {
		t.Errorf("got %q", got)
	}
	if !strings.Contains(got[1], "var/log/.wh..wh..opq") || !strings.Contains(got[1], "var/log/a") {
		t.Errorf("got %q", got[1])
	}
	if !r.Image.Config.History[4].EmptyLayer {
		t.Error("RUN true has a layer")
	}
}

func TestMounts(t *testing.T) {
	s := newSite(t, "src/in=data", "hidden=h", ".dockerignore=hidden", "sec=s3cret")
	secrets := func(o *build.Options) {
		o.Secrets = map[string]build.Secret{"k": {File: filepath.Join(s.dir, "sec")}, "e": {Data: []byte("env secret")}}
	}
	r := s.build(`FROM base AS other; RUN mkdir /o && echo other >/o/f; FROM base; WORKDIR /w; `+
		`RUN --mount=target=/ctx,source=src cat /ctx/in && echo; `+
		`RUN --mount=target=/ctx ls /ctx; `+
		`RUN --mount=from=other,source=/o,target=/o cat /o/f; `+
		`RUN --mount=from=other,source=/o,target=/o,rw echo x >/o/f && cat /o/f; `+
		`RUN --mount=type=cache,target=/c echo kept >>/c/f; `+
		`RUN --mount=type=cache,id=/c,target=c2 cat /w/c2/f; `+
		`RUN --mount=type=tmpfs,target=/t echo t >/t/f && cat /t/f; `+
		`RUN --mount=type=secret,id=k cat /run/secrets/k; `+
		`RUN --mount=type=secret,id=k,target=/etc/sec cat /etc/sec; `+
		`RUN --mount=type=secret,id=e,env=TOKEN echo $TOKEN; `+
		`RUN --mount=type=secret,id=missing ls /run/secrets 2>&1 || true`, secrets)
	want := "data\nsec\nsrc\nother\nx\nkept\nt\ns3crets3cretenv secret\n"
	if got := s.out.String(); !strings.HasPrefix(strings.ReplaceAll(got, ".dockerignore\n", ""), want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, l := range s.layers(r)[1:] {
		if strings.Contains(l, "ctx") || strings.Contains(l, "secrets") || strings.Contains(l, "c2") || strings.Contains(l, "/sec") {
			t.Errorf("a mount point is in a layer: %q", l)
		}
	}
	if _, err := s.try("FROM base; RUN --mount=type=secret,id=missing,required true"); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("a missing required secret: %v", err)
	}
	if _, err := s.try("FROM base; RUN --mount=target=/x,source=../../../etc cat /x/shadow"); err == nil {
		t.Error("a mount source outside of the context is shown")
	}
}

func TestHeredocs(t *testing.T) {
	s := newSite(t)
	text := "FROM base\nARG n=7\nRUN <<E\necho one\necho two\nE\nRUN <<E\n#!/bin/sh -e\necho script $0\nE\nCOPY <<E <<\"F\" /d/\nn=$n\nE\nn=$n\nF\nRUN cat <<A <<B\na\nA\nb\nB\n"
	r := s.build("x", func(o *build.Options) { o.Text = strings.NewReader(text) })
	if got := s.out.String(); got != "one\ntwo\nscript /dev/pipes/E\na\nb\n" && got != "one\ntwo\nscript /dev/pipes/E\nb\n" {
		t.Errorf("got %q", got)
	}
	s.wantLayers(r, "d/ d/E=n=7 d/F=n=$n")
}

func TestOnbuild(t *testing.T) {
	s := newSite(t, "f=1")
	s.build("FROM base; ONBUILD COPY f /f; ONBUILD RUN echo built", func(o *build.Options) { o.Tags = []image.Ref{ref(t, "parent")} })
	r := s.build("FROM parent; RUN cat /f")
	if got := s.out.String(); got != "built\n1" {
		t.Errorf("got %q", got)
	}
	if len(r.Image.Config.Config.OnBuild) != 0 {
		t.Error("triggers are inherited twice")
	}
	if !strings.Contains(s.text.String(), "# Executing 2 build triggers\n") {
		t.Errorf("got %s", s.text.String())
	}
}

func TestCopyFlags(t *testing.T) {
	s := newSite(t, "a=A", "d/x.txt=X", "d/y.md=Y", "d/s/z.txt=Z")
	r := s.build("FROM base; COPY --chown=web:www a /1; COPY --chown=5 a /2; COPY --chmod=u=rwX,go= d /3; COPY --link a /4/a; COPY --parents d/s/z.txt /5/; COPY --exclude=*.md d /6; USER web; WORKDIR /7/w")
	s.wantLayers(r, "1=A(33:55)", "2=A(5:5)", "3/ 3/s/ 3/s/z.txt=Z 3/x.txt=X 3/y.md=Y", "4/ 4/a=A", "5/ 5/d/ 5/d/s/ 5/d/s/z.txt=Z", "6/ 6/s/ 6/s/z.txt=Z 6/x.txt=X", "7/(33:44) 7/w/(33:44)")
	h := history(r.Image.Config)
	if !strings.HasPrefix(h[0], "/bin/sh -c #(nop) COPY --chown=web:www file:") || !strings.HasSuffix(h[0], " in /1 ") {
		t.Errorf("history %q", h[0])
	}
}

func TestAddArchive(t *testing.T) {
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o750, Uid: 7, Gid: 8}, {Name: "dir/f", Typeflag: tar.TypeReg, Mode: 0o600, Size: 2, Uid: 7, Gid: 8},
		{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, {Name: "h", Typeflag: tar.TypeLink, Linkname: "dir/f"},
	} {
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			fmt.Fprint(tw, "hi")
		}
	}
	tw.Close()
	s := newSite(t, "a.tar="+b.String(), "plain.tar=no archive")
	r := s.build("FROM base; ADD a.tar /x/; ADD plain.tar /y/; COPY a.tar /z; ADD --unpack=false a.tar /w")
	got := s.layers(r)
	if want := "x/ x/dir/(7:8) x/dir/f=hi(7:8) x/h->x/dir/f x/l->/etc"; got[0] != want {
		t.Errorf("got %q", got[0])
	}
	if got[1] != "y/ y/plain.tar=no archive" || !strings.HasPrefix(got[2], "z=dir/") {
		t.Errorf("got %q", got[1:3])
	}
}

func TestReproducible(t *testing.T) {
	var ids []image.Digest
	for range 2 {
		s := newSite(t, "a=1")
		r := s.build("FROM base; RUN echo x >/x; COPY a /d/e/a; WORKDIR /new; ENV A=b", func(o *build.Options) {
			o.BuildArgs = map[string]string{"SOURCE_DATE_EPOCH": "1600000000"}
		})
		ids = append(ids, r.ID)
		time.Sleep(1100 * time.Millisecond)
	}
	if ids[0] != ids[1] {
		t.Errorf("two builds at different times: %s and %s", ids[0], ids[1])
	}
}

func TestErrorsHaveAPlace(t *testing.T) {
	s := newSite(t, "main.py=1", "secret=2", ".dockerignore=secret")
	for _, c := range []struct{ name, text, want, hint string }{
		{"missing file", "FROM base; COPY mian.py /", `Dockerfile:2: COPY failed: "/mian.py": not found`, "did you mean main.py"},
		{"ignored file", "FROM base; COPY secret /", "excluded by .dockerignore", "!secret"},
		{"unknown instruction", "FROM base; RNU x", "Dockerfile:2: dockerfile parse error on line 2: unknown instruction: RNU", "RUN"},
		{"unknown flag", "FROM base; COPY --form=x a b", "unknown flag: --form", "--from"},
		{"unknown image", "FROM nothing", "pull access denied for nothing", ""},
		{"unknown user", "FROM base; COPY --chown=nobody main.py /", `"nobody" is not in /etc/passwd`, ""},
		{"bad signal", "FROM base; STOPSIGNAL SIGFOO", "invalid signal: SIGFOO", ""},
		{"bad mode", "FROM base; COPY --chmod=999 main.py /", "invalid chmod parameter", ""},
		{"URL with COPY", "FROM base; COPY http://x/y /", "source can't be a URL for COPY", ""},
		{"host network", "FROM base; RUN --network=host true", "--network=host is not allowed", "--network host"},
		{"insecure", "FROM base; RUN --security=insecure true", "--security=insecure is not allowed", ""},
		{"huge uid", "FROM base; COPY --chown=4294967296 main.py /", "is not between 0 and", ""},
		{"empty", "  ", "the Dockerfile cannot be empty", ""},
		{"command not found", "FROM base; RUN [\"nothing\"]", "returned a non-zero code: 127", "not in the image"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.try(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if c.hint != "" && !strings.Contains(strings.Join(hints(err), "\n"), c.hint) {
				t.Errorf("hints %q lack %q", hints(err), c.hint)
			}
		})
	}
}

func hints(err error) []string {
	for err != nil {
		if h, ok := err.(interface{ Hints() []string }); ok && len(h.Hints()) > 0 { //nolint:errorlint // each layer is looked at
			return h.Hints()
		}
		err = errors.Unwrap(err)
	}
	return nil
}

func TestPortableCache(t *testing.T) {
	const file = "FROM base; COPY a /a; RUN echo x >/x; ENV A=b"
	dir := filepath.Join(t.TempDir(), "cache")
	local := []build.CacheSpec{{Type: "local", Ref: dir}}
	one := newSite(t, "a=1")
	first := one.build(file, func(o *build.Options) { o.CacheTo = local })
	two := newSite(t, "a=1")
	r := two.build(file, func(o *build.Options) { o.CacheFrom = local })
	if r.ID != first.ID || len(two.done) > 0 || len(two.Runs) > 0 {
		t.Errorf("%d commands ran, %q was done", len(two.Runs), two.done)
	}
	r = two.build(file+"; RUN cat /a /x", func(o *build.Options) { o.NoCache = true })
	if got := two.out.String(); got != "1x\n" {
		t.Errorf("got %q", got)
	}
	three := newSite(t, "a=1")
	if three.build(file, func(o *build.Options) { o.CacheFrom = []build.CacheSpec{{Type: "local", Ref: dir + "-none"}} }); len(three.done) != 3 {
		t.Errorf("without a cache %q was done", three.done)
	}
	_ = r
}

func TestOutputs(t *testing.T) {
	s := newSite(t, "a=1")
	dest := t.TempDir()
	s.build("FROM scratch; COPY a /d/a", func(o *build.Options) {
		o.Outputs = []build.Output{
			{Kind: build.OutputLocal, Dest: filepath.Join(dest, "local")}, {Kind: build.OutputTar, Dest: filepath.Join(dest, "tar")},
			{Kind: build.OutputOCI, Dest: filepath.Join(dest, "oci")},
		}
	})
	if b, err := os.ReadFile(filepath.Join(dest, "local/d/a")); err != nil || string(b) != "1" {
		t.Errorf("local: %q %v", b, err)
	}
	b, err := os.ReadFile(filepath.Join(dest, "tar"))
	if err != nil || entries(t, b) != "d/ d/a=1" {
		t.Errorf("tar: %v", err)
	}
	b, err = os.ReadFile(filepath.Join(dest, "oci"))
	if err != nil || !strings.Contains(entries(t, b), "index.json") {
		t.Errorf("oci: %v", err)
	}
}

func TestCancel(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	_, err := build.Build(ctx, s.options("FROM base; RUN sleep 60"), s.Deps())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if left := s.Left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
