package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// errAny stands for any error: what matters is that it is refused.
var errAny = errors.New("any error")

// hostile are archives that try to reach out of their directory, or to be more than they say. bites: the naive extractor of
// the control does change the canary, so the case is worth something.
var hostile = []struct {
	name    string
	entries []entry
	want    error
	bites   bool
}{
	{"dot dot", list(file("../../canary/file", "x")), ErrEscape, true},
	{"dot dot deep", list(folder("a"), file("a/../../../canary/file", "x")), ErrEscape, false},
	{"dot dot in the middle", list(file("a/../b", "x")), ErrEscape, false},
	{"dot dot alone", list(file("..", "x")), ErrEscape, false},
	{"dot dot directory", list(folder("../../canary/new")), ErrEscape, true},
	{"dot dot link", list(symlink("../../canary/new", "x")), ErrEscape, true},
	{"dot dot slash", list(folder("../../canary/").mode(0o777)), ErrEscape, true},
	{"dot dot by dots", list(file("./.././../canary/file", "x")), ErrEscape, true},
	{"absolute", list(file("/CANARY/file", "x")), ErrAbsolute, true},
	{"absolute twice", list(file("//CANARY/file", "x")), ErrAbsolute, true},
	{"absolute directory", list(folder("/CANARY/new")), ErrAbsolute, true},
	{"absolute link", list(symlink("/CANARY/new", "x")), ErrAbsolute, true},
	{"empty name", list(raw('0', "", "", 0, "")), errAny, false},
	{"name of a slash", list(raw('5', "/", "", 0, "")), ErrAbsolute, false},
	{"file is the root", list(file("./x", "a"), raw('0', ".", "", 1, "x")), ErrEscape, false},
	{"link is the root", list(symlink(".", "/CANARY")), ErrEscape, false},
	{"through a link, absolute", list(symlink("l", "/CANARY"), file("l/file", "x")), ErrThrough, true},
	{"through a link, relative", list(symlink("l", "../../canary"), file("l/file", "x")), ErrThrough, true},
	{"through a link inside", list(folder("d"), symlink("l", "d"), file("l/x", "x")), ErrThrough, false},
	{"through a link, directory", list(symlink("l", "/CANARY"), folder("l/new")), ErrThrough, true},
	{"through two links", list(symlink("a", "b"), symlink("b", "/CANARY"), file("a/file", "x")), ErrThrough, true},
	{"through a link to dot", list(symlink("a", "."), symlink("a/b", ".."), file("b/x", "x")), ErrThrough, false},
	{"through a loop", list(symlink("a", "a"), file("a/x", "x")), ErrThrough, false},
	{"through a file", list(file("a", "x"), file("a/b", "x")), ErrThrough, false},
	{"through a fifo", list(node(tar.TypeFifo, "p", 0, 0), file("p/x", "x")), ErrThrough, false},
	{"through /proc", list(symlink("p", "/proc/self/cwd"), file("p/x", "x")), ErrThrough, false},
	{"link in place of a directory", list(folder("d"), file("d/a", "x"), symlink("d", "/CANARY"), file("d/file", "x")), ErrThrough, false},
	{"link, then its own name as file", list(symlink("l", "/CANARY/file"), file("l", "overwritten")), nil, true},
	{"link, then its own name as directory", list(symlink("l", "/CANARY"), folder("l").mode(0o700), file("l/file", "x")), nil, true},
	{"hard link, then its own name as file", list(file("a", "1"), hardlink("b", "a"), file("b", "2")), nil, false},
	{"hard link out", list(hardlink("h", "../../canary/file"), file("h", "x")), ErrEscape, false},
	{"hard link absolute", list(hardlink("h", "/CANARY/file")), ErrAbsolute, true},
	{"hard link through a link", list(symlink("l", "/CANARY"), hardlink("h", "l/file")), ErrHardlink, true},
	{"hard link to a link out, then written", list(symlink("l", "/CANARY/file"), hardlink("h", "l"), file("h", "x")), nil, false},
	{"hard link to nothing", list(hardlink("h", "missing")), ErrHardlink, false},
	{"hard link to itself", list(file("h", "x"), hardlink("h", "h")), ErrHardlink, false},
	{"hard link to a directory", list(folder("d"), hardlink("h", "d")), ErrHardlink, false},
	{"hard link to the root", list(hardlink("h", ".")), ErrHardlink, false},
	{"hard link to a whiteout", list(file(".wh.w", ""), hardlink("h", "w")), ErrHardlink, false},
	{"whiteout of dot", list(file(".wh..", "")), ErrWhiteout, false},
	{"whiteout of dot dot", list(file(".wh...", "")), ErrWhiteout, false},
	{"whiteout of dot dot below", list(file("a/.wh...", "")), ErrWhiteout, false},
	{"whiteout of nothing", list(file(".wh.", "")), ErrWhiteout, false},
	{"whiteout through a link", list(symlink("l", "/CANARY"), file("l/.wh.file", "")), ErrThrough, false},
	{"opaque through a link", list(symlink("l", "/CANARY"), file("l/.wh..wh..opq", "")), ErrThrough, false},
	{"opaque through dot dot", list(file("../../canary/.wh..wh..opq", "")), ErrEscape, true},
	{"whiteout is a directory with content", list(folder(".wh.d"), file(".wh.d/x", "x")), ErrWhiteout, false},
	{"block device", list(node(tar.TypeBlock, "sda", 8, 0)), nil, false},
	{"device that looks like a whiteout", list(node(tar.TypeChar, "w", 0, 0)), nil, false},
	{"device, then written through", list(node(tar.TypeChar, "mem", 1, 1), file("mem", "x")), nil, false},
	{"overlay redirect", list(folder("d").xattr("user.overlay.redirect", "/CANARY")), nil, false},
	{"overlay metacopy", list(file("f", "").xattr("user.overlay.metacopy", "").xattr("trusted.overlay.redirect", "/x")), nil, false},
	{"forged owner record", list(file("f", "").xattr(ownerXattr, "\x08\x00")), nil, false},
	{"pax path overrides", list(paxRaw('x', "path=../../canary/file"), raw('0', "good", "", 1, "x")), ErrEscape, true},
	{"pax linkpath overrides", list(paxRaw('x', "linkpath=../../canary/file"), raw('1', "h", "good", 0, "")), ErrEscape, false},
	{"pax path with NUL", list(paxRaw('x', "path=a\x00b"), raw('0', "good", "", 0, "")), errAny, false},
	{"pax path empty", list(paxRaw('x', "path="), raw('0', "../../canary/file", "", 1, "x")), ErrEscape, true},
	{"pax size overrides", list(paxRaw('x', "size=9223372036854775807"), raw('0', "f", "", 1, "x")), errAny, false},
	{"pax size negative", list(paxRaw('x', "size=-1"), raw('0', "f", "", 1, "x")), errAny, false},
	{"pax of a gigabyte", list(raw('x', "pax", "", 1<<30, "")), errAny, false},
	{"pax record lies about its length", list(raw('x', "pax", "", 30, "999999 path=../../canary/file\n")), errAny, false},
	{"pax uid of 2^32", list(paxRaw('x', "uid=4294967296"), raw('0', "f", "", 0, "")), ErrOwner, false},
	{"pax uid -1", list(paxRaw('x', "uid=4294967295"), raw('0', "f", "", 0, "")), ErrOwner, false},
	{"GNU long name", list(raw('L', "././@LongLink", "", 18, "../../canary/file\x00"), raw('0', "good", "", 1, "x")), ErrEscape, true},
	{"GNU long link", list(raw('K', "././@LongLink", "", 21, "../../../canary/file\x00"), raw('1', "h", "good", 0, "")), ErrEscape, false},
	{"sparse map beyond the file", list(paxRaw('x', "GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=10"), raw('0', "s", "", 512, "1\n99999999999\n1\n")), errAny, false},
	{"sparse bomb", list(paxRaw('x', "GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=9000000000000000000"), raw('0', "s", "", 512, "0\n")), errAny, false},
	{"size without content", list(raw('0', "f", "", 1<<40, "x")), errAny, false},
	{"negative size", list(entry{raw: negativeSize()}), errAny, false},
	{"10,000 deep", list(folder(strings.Repeat("d/", 10_000))), errAny, false},
	{"300 deep", list(folder(strings.Repeat("d/", 300))), errAny, false},
	{"name of 5,000 bytes", list(file(strings.Repeat("n", 5000), "")), errAny, false},
	{"component of 256 bytes", list(file(strings.Repeat("n", 256), "")), errAny, false},
	{"link text of 5,000 bytes", list(symlink("l", strings.Repeat("n", 5000))), errAny, false},
	{"attribute of 100 kB", list(file("f", "").xattr("user.x", strings.Repeat("x", 100<<10))), errAny, false},
	{"unknown type", list(raw('Z', "z", "", 0, "")), ErrType, false},
	{"check sum wrong", list(entry{raw: make512("garbage")}), ErrHeader, false},
	{"case twins", list(symlink("A", "/CANARY"), file("a/file", "x")), nil, false},
	{"backslash", list(file(`..\canary\file`, "x")), nil, false},
	{"control characters", list(file("\x1b[2J\n", "x")), nil, false},
	{"not UTF-8", list(raw('0', "\xff\xfe", "", 1, "x")), nil, false},
}

func list(e ...entry) []entry { return e }

func make512(s string) []byte { return append([]byte(s), make([]byte, 512-len(s))...) }

func negativeSize() []byte {
	e := raw('0', "f", "", 0, "")
	copy(e.raw[124:], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe")
	return seal(e.raw)
}

// aim puts the canary's real path in place of /CANARY.
func aim(entries []entry, canary string) []entry {
	out := make([]entry, len(entries))
	for i, e := range entries {
		e.h.Name = strings.ReplaceAll(e.h.Name, "/CANARY", canary)
		e.h.Linkname = strings.ReplaceAll(e.h.Linkname, "/CANARY", canary)
		out[i] = e
	}
	return out
}

func TestHostile(t *testing.T) {
	if len(hostile) < 60 {
		t.Errorf("only %d cases", len(hostile))
	}
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			g := newTarget(t)
			before := snapshot(t, g.canary)
			_, err := g.extract(archive(aim(c.entries, g.canary)...), Limits{})
			if c.want == errAny && err == nil || c.want != errAny && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if after := snapshot(t, g.canary); after != before {
				t.Errorf("the canary is touched:\n%s\nbefore:\n%s", after, before)
			}
			if got, _ := os.ReadDir(g.base); len(got) != 2 {
				t.Errorf("beside the layer: %v", got)
			}
		})
	}
}

// TestHostileControl extracts the same archives as a careless program does: the cases that bite must bite.
func TestHostileControl(t *testing.T) {
	for _, c := range hostile {
		if !c.bites {
			continue
		}
		g := newTarget(t)
		before := snapshot(t, g.canary)
		careless(archive(aim(c.entries, g.canary)...), g.path("."))
		if snapshot(t, g.canary) == before {
			t.Errorf("%s: harmless even to a careless program", c.name)
		}
	}
}

// careless joins strings and follows links.
func careless(b []byte, root string) {
	tr := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := tr.Next()
		if err != nil {
			return
		}
		p := root + "/" + h.Name
		if strings.HasPrefix(h.Name, "/") {
			p = h.Name
		}
		switch h.Typeflag {
		case tar.TypeDir:
			os.MkdirAll(p, 0o755)
			os.Chmod(p, os.FileMode(h.Mode&0o777))
			os.Chtimes(p, h.ModTime, h.ModTime)
		case tar.TypeSymlink:
			os.Symlink(h.Linkname, p)
		case tar.TypeLink:
			from := root + "/" + h.Linkname
			if strings.HasPrefix(h.Linkname, "/") {
				from = h.Linkname
			}
			os.Link(from, p)
		default:
			content, _ := io.ReadAll(tr)
			os.WriteFile(p, content, 0o644)
		}
	}
}

// endless is an archive of n empty files, made while it is read.
type endless struct {
	n, left int
	block   []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.block) == 0 {
		if e.left == 0 {
			return 0, io.EOF
		}
		e.block = raw('0', fmt.Sprintf("%04d/%d", (e.n-e.left)/1000, e.left), "", 0, "").raw
		e.left--
	}
	n := copy(p, e.block)
	e.block = e.block[n:]
	return n, nil
}

func TestLimits(t *testing.T) {
	zeros := strings.Repeat("\x00", 1<<20)
	for _, c := range []struct {
		name   string
		tar    []byte
		limits Limits
		what   string
	}{
		{"entries", archive(file("a", ""), file("b", ""), file("c", "")), Limits{Entries: 2}, "entries"},
		{"depth", archive(folder("a/b/c")), Limits{Depth: 2}, "levels of directories"},
		{"path", archive(file("abcdef", "")), Limits{PathBytes: 5}, "bytes in a name"},
		{"link", archive(symlink("a", "bcdefg")), Limits{PathBytes: 5}, "bytes in a link"},
		{"attributes", archive(file("a", "").xattr("user.a", "1234567890")), Limits{XattrBytes: 10}, "bytes of extended attributes in one entry"},
		{"size", archive(file("a", "12345"), file("b", "12345")), Limits{Size: 9}, "bytes"},
		{"ratio", archive(file("a", zeros), file("b", zeros)), Limits{RatioFloor: 1 << 20, Ratio: 10}, "unpacked bytes for each packed byte"},
		{"padding", append(archive(file("a", "")), make([]byte, 4<<20)...), Limits{RatioFloor: 1 << 20, Ratio: 10}, "unpacked bytes for each packed byte"},
	} {
		g := newTarget(t)
		opts := Options{Limits: c.limits, Owners: g.owners(), Packed: func() int64 { return 1000 }}
		_, err := Extract(t.Context(), bytes.NewReader(c.tar), g.fd, opts)
		var limit *LimitError
		if !errors.As(err, &limit) || limit.What != c.what {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
