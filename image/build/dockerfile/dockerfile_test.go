package dockerfile

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse(strings.NewReader(text), "Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// only expands the one instruction behind FROM.
func only(t *testing.T, line string, env ...string) (Op, error) {
	t.Helper()
	f := parse(t, "FROM x\n"+line+"\n")
	return f.Stages[0].Instructions[0].Expand(NewExpander(env))
}

func TestExpand(t *testing.T) {
	env := []string{"A=a", "P=/x/y.tar.gz", "E="}
	yes := true
	for _, c := range []struct {
		line string
		want Op
	}{
		{"ENV k=$A", Env{[]Pair{{"k", "a"}}}},
		{"ENV k ${A}b c", Env{[]Pair{{"k", "ab c"}}}},
		{`ENV k="a b" l='$A'`, Env{[]Pair{{"k", "a b"}, {"l", "$A"}}}},
		{`ENV k=\$A`, Env{[]Pair{{"k", "$A"}}}},
		{"ENV k=${N:-d} l=${A:+s} m=${E:-d} n=${E-d}", Env{[]Pair{{"k", "d"}, {"l", "s"}, {"m", "d"}, {"n", ""}}}},
		{"ENV k=${P#*/} l=${P##*/} m=${P%.*} n=${P%%.*}", Env{[]Pair{{"k", "x/y.tar.gz"}, {"l", "y.tar.gz"}, {"m", "/x/y.tar"}, {"n", "/x/y"}}}},
		{"ENV k=${P/x/z} l=${P//./_}", Env{[]Pair{{"k", "/z/y.tar.gz"}, {"l", "/x/y_tar_gz"}}}},
		{"LABEL $A=$A", Label{[]Pair{{"a", "a"}}}},
		{"WORKDIR /$A", Workdir{"/a"}},
		{"USER $A:g", User{"a:g"}},
		{"VOLUME /$A /b", Volume{[]string{"/a", "/b"}}},
		{`VOLUME ["/$A"]`, Volume{[]string{"/a"}}},
		{"EXPOSE 80 53/UDP 8000-8002", Expose{[]string{"53/UDP", "80", "8000-8002"}, []string{"53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"}}},
		{"STOPSIGNAL SIG$A", StopSignal{"SIGa"}},
		{`SHELL ["a","b"]`, Shell{[]string{"a", "b"}}},
		{"ONBUILD RUN echo $A", OnBuild{"RUN echo $A"}},
		{"CMD echo $A", Cmd{CommandLine{[]string{"echo $A"}, true}}},
		{`CMD ["echo","$A"]`, Cmd{CommandLine{[]string{"echo", "$A"}, false}}},
		{"MAINTAINER  me  and you", Maintainer{"me  and you"}},
		{"ARG x y=1", Args{[]Arg{{"x", nil}, {"y", ref("1")}}}},
		{"COPY --chown=$A --chmod=755 --link a b/ /$A/", Copy{Sources: []string{"a", "b/"}, Dest: "/a/", Chown: "a", Chmod: "755", Link: true}},
		{"COPY --from=s --parents --exclude=*.x a b", Copy{From: "s", Sources: []string{"a"}, Dest: "b", Parents: true, Excludes: []string{"*.x"}}},
		{"ADD --checksum=sha256:0 --keep-git-dir --unpack http://x/y /", Copy{Add: true, Sources: []string{"http://x/y"}, Dest: "/", Checksum: "sha256:0", KeepGit: &yes, Unpack: &yes}},
		{"RUN --network=none x", Run{CommandLine: CommandLine{[]string{"x"}, true}, Network: "none", Security: "sandbox"}},
		{"RUN --mount=type=cache,target=/$A,sharing=locked x", Run{CommandLine: CommandLine{[]string{"x"}, true}, Network: "default", Security: "sandbox", Mounts: []Mount{{Kind: MountCache, Target: "/a", Sharing: SharingLocked}}}},
	} {
		got, err := only(t, c.line, env...)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\ngot  %+v %v\nwant %+v", c.line, got, err, c.want)
		}
	}
}

func ref(s string) *string { return &s }

func TestHealthcheck(t *testing.T) {
	op, err := only(t, "HEALTHCHECK --interval=5m --timeout=3s --retries=2 CMD curl -f x")
	h, ok := op.(Healthcheck)
	if err != nil || !ok || fmt.Sprint(h.Test, h.Interval, h.Timeout, h.Retries) != "[CMD-SHELL curl -f x] 5m0s 3s 2" {
		t.Errorf("got %+v %v", op, err)
	}
	if op, _ = only(t, "HEALTHCHECK NONE"); fmt.Sprint(op.(Healthcheck).Test) != "[NONE]" {
		t.Errorf("got %+v", op)
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct{ text, want, hint string }{
		{"FROM x\nRNU y", "Dockerfile:2: dockerfile parse error on line 2: unknown instruction: RNU\n  2 | RNU y", "RUN"},
		{"FROM x\nCOPY a", "Dockerfile:2: dockerfile parse error on line 2: COPY requires at least two arguments", ""},
		{"FROM x\nCOPY --chwn=a b c", "unknown flag: --chwn", "--chown"},
		{"FROM a b", "FROM requires either one or three arguments", ""},
		{"FROM x AS 1a", "invalid name for build stage", ""},
		{"RUN x", "no build stage in current context", ""},
		{"FROM x\nENV a", "ENV must have two arguments", ""},
		{"FROM x\nENV a=1 b", "Syntax error - can't find = in \"b\"", ""},
		{"FROM x\nRUN <<E\nfoo", "unterminated heredoc", ""},
		{"FROM x\nONBUILD FROM y", "FROM isn't allowed as an ONBUILD trigger", ""},
		{"FROM x\nHEALTHCHECK FOO", "Unknown type", ""},
		{"FROM x\nRUN --mount=type=foo x", "unsupported mount type", "cache"},
		{"FROM x\nRUN --network=foo x", "network", ""},
		{"", "the Dockerfile cannot be empty", ""},
		{"# nothing", "no", ""},
	} {
		f, err := Parse(strings.NewReader(c.text), "Dockerfile")
		if err == nil && len(f.Stages) > 0 && len(f.Stages[0].Instructions) > 0 { // mounts are judged when they are expanded
			_, err = f.Stages[0].Instructions[0].Expand(NewExpander(nil))
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s", c.text, err, c.want)
			continue
		}
		var syntax *SyntaxError
		if errors.As(err, &syntax) && c.hint != "" && !strings.Contains(strings.Join(syntax.Hints(), ""), c.hint) {
			t.Errorf("%q: hints %q lack %q", c.text, syntax.Hints(), c.hint)
		}
	}
}

func TestDirectives(t *testing.T) {
	f := parse(t, "# syntax=evil/frontend:1\n# escape=`\nFROM x\nRUN a `\n  b\n")
	if got := fmt.Sprint(f.Warnings); !strings.Contains(got, `"evil/frontend:1" is ignored`) {
		t.Errorf("got %s", got)
	}
	op, err := f.Stages[0].Instructions[0].Expand(NewExpander(nil))
	if err != nil || op.(Run).Args[0] != "a   b" {
		t.Errorf("got %+v %v", op, err)
	}
	if f := parse(t, "# syntax=docker/dockerfile:1\nFROM x\n"); len(f.Warnings) != 0 {
		t.Errorf("got %v", f.Warnings)
	}
	if f := parse(t, "FROM x\nMAINTAINER y\n"); len(f.Warnings) != 1 {
		t.Errorf("got %v", f.Warnings)
	}
	if f := parse(t, "# check=skip=all\nFROM x\nMAINTAINER y\n"); len(f.Warnings) != 0 {
		t.Errorf("got %v", f.Warnings)
	}
}

func TestPorts(t *testing.T) {
	for _, bad := range []string{"", "x", "80/foo", "70000", "90-80", "-1", "80-", "/tcp"} {
		if got, err := ParsePorts(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
	if got, _ := ParsePorts("127.0.0.1:8080:80/tcp"); fmt.Sprint(got) != "[80/tcp]" {
		t.Errorf("got %v", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"FROM x\nRUN y", "FROM x\nRUN <<E\na\nE\n", "ARG a=1\nFROM $a AS b\nCOPY --from=b <<-E /x\n\ty\n\tE\n", "# escape=`\nFROM x\nENV a=${b:-c} d=${e/f/g}",
		"FROM x\nRUN --mount=type=cache,target=/a b", "FROM x\nONBUILD RUN <<E\nx\nE\n", "FROM x\nHEALTHCHECK --interval=1s CMD x", "FROM x\nEXPOSE 1-3/udp",
		"FROM x\nLABEL a=b c=\"d\\\ne\"", "FROM x\nCMD [\"a\",\"b\"]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse(strings.NewReader(text), "Dockerfile")
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("no syntax error: %v", err)
			}
			_, _ = err.Error(), syntax.Hints()
			return
		}
		e := NewExpander([]string{"a=1", "PATH=/x"})
		for _, s := range file.Stages {
			_, _ = file.Word(e, s.Base)
			for i := range s.Instructions {
				in := &s.Instructions[i]
				op, err := in.Expand(e)
				if err != nil {
					continue
				}
				if o, ok := op.(OnBuild); ok {
					_, _ = file.Trigger(o.Text, 1)
				}
				file.Excerpt(in.Line, in.EndLine, 2)
			}
		}
	})
}
