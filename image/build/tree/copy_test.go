package tree

import (
	"errors"
	"strings"
	"testing"
)

// The tree that most cases copy from.
var source = []string{
	"a.txt=A", "b.txt=B", "c.md=C", "run.sh!0755=R", "dir/one=1", "dir/sub/two=2", "dir/skip.log=L", "empty/", "dir/link->one", "top->dir", "hom.txt=H",
	"up->../../../../etc", "x/y/z.c=Z", "x/w.c=W", "[odd]=O",
}

func TestCopy(t *testing.T) {
	for _, c := range []struct {
		name string
		sel  Selection
		dest string
		had  string // in the destination before
		want string
	}{
		{"file to a name", Selection{Sources: []string{"a.txt"}}, "/new", "", "new=A"},
		{"file to a directory", Selection{Sources: []string{"a.txt"}}, "/d/", "", "d/a.txt=A"},
		{"file to a directory that exists", Selection{Sources: []string{"a.txt"}}, "/d", "d/", "d/a.txt=A"},
		{"file below a missing directory", Selection{Sources: []string{"a.txt"}}, "/p/q/r", "", "p/q/r=A"},
		{"file replaces file", Selection{Sources: []string{"a.txt"}}, "/old", "old=x", "old=A"},
		{"mode stays", Selection{Sources: []string{"run.sh"}}, "/", "", "run.sh!0755=R"},
		{"content of a directory", Selection{Sources: []string{"dir"}}, "/d", "", "d/link->one d/one=1 d/skip.log=L d/sub/two=2"},
		{"directory with slash", Selection{Sources: []string{"dir/"}}, "/d/", "", "d/link->one d/one=1 d/skip.log=L d/sub/two=2"},
		{"empty directory", Selection{Sources: []string{"empty"}}, "/d", "", "d/"},
		{"two files", Selection{Sources: []string{"a.txt", "b.txt"}}, "/d/", "", "d/a.txt=A d/b.txt=B"},
		{"wildcard", Selection{Sources: []string{"*.txt"}}, "/d/", "", "d/a.txt=A d/b.txt=B d/hom.txt=H"},
		{"question mark", Selection{Sources: []string{"?.txt"}}, "/d/", "", "d/a.txt=A d/b.txt=B"},
		{"wildcard without match", Selection{Sources: []string{"*.none"}}, "/d/", "", ""},
		{"wildcard in the middle", Selection{Sources: []string{"x/*/z.c"}}, "/d/", "", "d/z.c=Z"},
		{"two stars", Selection{Sources: []string{"x/**/*.c"}}, "/d/", "", "d/w.c=W d/z.c=Z"},
		{"escaped bracket", Selection{Sources: []string{`\[odd]`}}, "/o", "", "o=O"},
		{"link is followed", Selection{Sources: []string{"top"}}, "/d", "", "d/link->one d/one=1 d/skip.log=L d/sub/two=2"},
		{"link in a path", Selection{Sources: []string{"top/sub/two"}}, "/d", "", "d=2"},
		{"dots stay inside", Selection{Sources: []string{"../../a.txt"}}, "/d", "", "d=A"},
		{"ignored file", Selection{Sources: []string{"dir"}, Ignore: []string{"**/*.log"}}, "/d", "", "d/link->one d/one=1 d/sub/two=2"},
		{"ignored directory", Selection{Sources: []string{"dir"}, Ignore: []string{"dir/sub"}}, "/d", "", "d/link->one d/one=1 d/skip.log=L"},
		{"all ignored but one", Selection{Sources: []string{"."}, Ignore: []string{"*", "!dir/sub"}}, "/", "", "dir/sub/two=2"},
		{"ignored and taken back below", Selection{Sources: []string{"dir"}, Ignore: []string{"dir", "!dir/sub/two"}}, "/d", "", "d/sub/two=2"},
		{"exclude", Selection{Sources: []string{"dir"}, Excludes: []string{"*.log", "sub"}}, "/d", "", "d/link->one d/one=1"},
		{"exclude a top file", Selection{Sources: []string{"*.txt"}, Excludes: []string{"hom*"}}, "/d/", "", "d/a.txt=A d/b.txt=B"},
		{"parents", Selection{Sources: []string{"x/y/z.c"}, Parents: true}, "/d/", "", "d/x/y/z.c=Z"},
		{"parents of two", Selection{Sources: []string{"x/y/z.c", "x/w.c"}, Parents: true}, "/d/", "", "d/x/w.c=W d/x/y/z.c=Z"},
		{"parents with pivot", Selection{Sources: []string{"x/./y/z.c"}, Parents: true}, "/d/", "", "d/y/z.c=Z"},
		{"parents with stars", Selection{Sources: []string{"**/*.c"}, Parents: true}, "/d/", "", "d/x/w.c=W d/x/y/z.c=Z"},
		{"parents of a directory", Selection{Sources: []string{"dir/sub"}, Parents: true}, "/d/", "", "d/dir/sub/two=2"},
		{"merge into a directory", Selection{Sources: []string{"dir"}}, "/d", "d/mine=M d/sub/old=o", "d/link->one d/mine=M d/one=1 d/skip.log=L d/sub/old=o d/sub/two=2"},
		{"destination through a link", Selection{Sources: []string{"a.txt"}}, "/l/", "real/ l->real", "l->real real/a.txt=A"},
		{"destination through an absolute link", Selection{Sources: []string{"a.txt"}}, "/l/", "real/ l->/real", "l->/real real/a.txt=A"},
		{"destination link that leads out", Selection{Sources: []string{"a.txt"}}, "/l/x", "l->../../../out", "l->../../../out out/x=A"},
		{"link inside is replaced by a file", Selection{Sources: []string{"dir"}}, "/d", "d/one->/etc/passwd", "d/link->one d/one=1 d/skip.log=L d/sub/two=2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst := grow(t, source...), grow(t, strings.Fields(c.had)...)
			_, err := Copy(open(t, dst), open(t, src), c.sel, Target{Dest: c.dest}, same{})
			must(t, err)
			if got := words(t, dst); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestCopyRefuses(t *testing.T) {
	for _, c := range []struct {
		name, src, dest, had, want string
	}{
		{"missing", "nothing", "/", "", `"/nothing": not found`},
		{"two to a file", "a.txt b.txt", "/d", "", "must be a directory"},
		{"directory over file", "dir", "/d", "d=x", `cannot copy to non-directory: "/d"`},
		{"directory over file below", "dir", "/d", "d/sub=x", `cannot copy to non-directory: "/d/sub"`},
		{"file over directory", "dir", "/d", "d/one/", `cannot replace to directory "/d/one" with file`},
		{"file into file", "a.txt", "/d/e", "d=x", "cannot copy to non-directory"},
		{"link that leads out", "up/passwd", "/d", "", "not found"},
		{"endless links", "loop", "/d", "", "too many levels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst := grow(t, append(source, "loop->loop")...), grow(t, strings.Fields(c.had)...)
			_, err := Copy(open(t, dst), open(t, src), Selection{Sources: strings.Fields(c.src)}, Target{Dest: c.dest}, same{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestMissingSaysWhatIsNear(t *testing.T) {
	for _, c := range []struct {
		src    string
		ignore []string
		hint   string
	}{
		{"a.tXt", nil, "did you mean a.txt"},
		{"a.tx", nil, "did you mean a.txt"},
		{"one", nil, "did you mean dir/one"},
		{"b.txt", []string{"*.txt"}, "!b.txt"},
	} {
		_, err := Selection{Sources: []string{c.src}, Ignore: c.ignore}.Items(open(t, grow(t, source...)))
		var missing *MissingError
		if !errors.As(err, &missing) || !strings.Contains(strings.Join(missing.Hints(), "\n"), c.hint) {
			t.Errorf("%s: got %v %v, want a hint with %q", c.src, err, missing.Hints(), c.hint)
		}
	}
}

func TestSumIsContentNotTime(t *testing.T) {
	sum := func(extra ...string) string {
		s, err := Sum(open(t, grow(t, append(source, extra...)...)), Selection{Sources: []string{"dir", "a.txt"}}, nil, nil)
		must(t, err)
		return s
	}
	first := sum()
	if sum() != first {
		t.Error("the same content at another time has another sum")
	}
	for _, change := range []string{"dir/one=2", "dir/new=", "dir/one!0755=1", "a.txt=AA"} {
		if sum(change) == first {
			t.Errorf("%s does not change the sum", change)
		}
	}
	if sum("b.txt=other") != first {
		t.Error("a file that is not taken changes the sum")
	}
}

func TestMode(t *testing.T) {
	for _, c := range []struct {
		change string
		mode   uint32
		dir    bool
		want   uint32
	}{
		{"", 0o644, false, 0o644}, {"755", 0o644, false, 0o755}, {"0600", 0o777, false, 0o600}, {"4755", 0, false, 0o4755},
		{"u=rwx,go=rx", 0, false, 0o755}, {"+x", 0o644, false, 0o755}, {"a-w", 0o666, false, 0o444}, {"go-rwx", 0o777, false, 0o700},
		{"u=rwX,go=rX", 0o600, false, 0o644}, {"u=rwX,go=rX", 0o600, true, 0o755}, {"g=u", 0o640, false, 0o660}, {"u+s", 0o755, false, 0o4755},
		{"+t", 0o755, true, 0o1755}, {"o=t", 0o757, true, 0o1750},
	} {
		m, err := ParseMode(c.change)
		must(t, err)
		if got := m.Apply(c.mode, c.dir); got != c.want {
			t.Errorf("%q on %o: got %o, want %o", c.change, c.mode, got, c.want)
		}
	}
	for _, bad := range []string{"888", "10000", "x", "u~r", "u=q", "-1"} {
		if _, err := ParseMode(bad); err == nil && bad != "-1" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestLookupOwner(t *testing.T) {
	root := grow(t, "etc/passwd=root:x:0:0:::\nweb:x:33:44:::\n7:x:1:1:::\nbig:x:4294967296:0:::\n", "etc/group=www:x:55:\n")
	for _, c := range []struct {
		who  string
		want Owner
	}{
		{"web", Owner{33, 44}}, {"web:www", Owner{33, 55}}, {"web:9", Owner{33, 9}}, {"5", Owner{5, 5}}, {"5:6", Owner{5, 6}}, {":www", Owner{0, 55}},
		{"7", Owner{7, 7}}, {"root", Owner{0, 0}},
	} {
		if got, err := LookupOwner(open(t, root), c.who); err != nil || got != c.want {
			t.Errorf("%s: got %v %v, want %v", c.who, got, err, c.want)
		}
	}
	for _, bad := range []string{"nobody", "web:none", "4294967296", "2147483648:1", "-1", "big", " 0", "0x0", "+1"} {
		if got, err := LookupOwner(open(t, root), bad); err == nil {
			t.Errorf("%q is accepted as %v", bad, got)
		}
	}
}
