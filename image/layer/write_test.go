package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// write makes a layer of a target's tree.
func (g *target) write(opts WriteOptions) []byte {
	g.t.Helper()
	var b bytes.Buffer
	if opts.Owners == nil {
		opts.Owners = g.owners()
	}
	if _, err := Write(g.t.Context(), &b, g.fd, opts); err != nil {
		g.t.Fatal(err)
	}
	return b.Bytes()
}

// lines describes an archive, one entry a line.
func lines(t *testing.T, b []byte) []string {
	t.Helper()
	var out []string
	for tr := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(tr)
		if strings.Contains(h.Name, whPrefix) { // whose mode says nothing
			h.Mode = 0
		}
		var attrs []string
		for _, n := range wanted(h) {
			attrs = append(attrs, n+"="+h.PAXRecords[xattrRecord+n])
		}
		out = append(out, fmt.Sprintf("%c %s %o %d:%d %d,%d %s %.40q %q", h.Typeflag, strings.TrimSuffix(h.Name, "/"), h.Mode, h.Uid, h.Gid, h.Devmajor, h.Devminor, h.Linkname, body, attrs))
	}
}

var everything = []entry{
	folder("a").mode(0o1777), file("a/f", "content").owner(3, 4).mode(0o640), file("a/setuid", "x").owner(5, 6).mode(0o6755),
	file("b", "x").xattr("user.k", "v"), hardlink("c", "b"), symlink("d", "/etc/passwd").owner(7, 8), node(tar.TypeFifo, "e", 0, 0).owner(9, 10),
	node(tar.TypeChar, "null", 1, 3).mode(0o666).owner(0, 6), node(tar.TypeBlock, "sda", 8, 0), folder("op"), file("op/.wh..wh..opq", ""),
	file("op/x", strings.Repeat("x", 3000)), folder("z"), file("z/.wh.gone", ""), file("z/"+strings.Repeat("long", 60), "x"),
}

// TestRoundTrip: what is extracted and written again is the same layer, owners and devices included, with all ids or one.
func TestRoundTrip(t *testing.T) {
	g := newTarget(t)
	in := archive(everything...)
	if _, err := g.extract(in, Limits{}); err != nil {
		t.Fatal(err)
	}
	first := g.write(WriteOptions{})
	h := newTarget(t)
	if _, err := h.extract(first, Limits{}); err != nil {
		t.Fatal(err)
	}
	if again := h.write(WriteOptions{}); !bytes.Equal(first, again) {
		t.Errorf("a second round differs:\n%s\n\n%s", strings.Join(lines(t, first), "\n"), strings.Join(lines(t, again), "\n"))
	}
	got, want := lines(t, first), lines(t, in)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestDeterministic: the order in which files were made, and when, does not show.
func TestDeterministic(t *testing.T) {
	var out [2][]byte
	for i := range out {
		g := newTarget(t)
		names := []string{"b", "a", "c/d", "c/b"}
		if i == 1 {
			slices.Reverse(names)
		}
		for _, n := range names {
			os.MkdirAll(g.path("c"), 0o755)
			os.WriteFile(g.path(n), []byte(n), 0o644)
			at := time.Unix(int64(2_000_000_000+i), int64(i))
			os.Chtimes(g.path(n), at, at)
		}
		out[i] = g.write(WriteOptions{Newest: time.Unix(1_000_000_000, 5)})
	}
	if !bytes.Equal(out[0], out[1]) {
		t.Errorf("%q\n%q", lines(t, out[0]), lines(t, out[1]))
	}
	if bytes.Contains(out[0], []byte("PaxHeader")) {
		t.Error("pax records where ustar would do")
	}
}

func TestWriteKeep(t *testing.T) {
	g := newTarget(t)
	if _, err := g.extract(archive(file("a/b", ""), file("a/c/d", ""), file("e", "")), Limits{}); err != nil {
		t.Fatal(err)
	}
	b := g.write(WriteOptions{Keep: func(p string) bool { return p != "a/c" }})
	if got := len(lines(t, b)); got != 3 || bytes.Contains(b, []byte("a/c")) {
		t.Errorf("%q", lines(t, b))
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, name := range []string{".wh.x", ".wh..wh..opq"} {
		g := newTarget(t)
		os.WriteFile(g.path(name), nil, 0o600)
		if _, err := Write(t.Context(), io.Discard, g.fd, WriteOptions{}); !errors.Is(err, ErrWhiteout) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDeviceWritten: a file written in a device's place is a file.
func TestDeviceWritten(t *testing.T) {
	g := newTarget(t)
	if _, err := g.extract(archive(node(tar.TypeChar, "n", 1, 3)), Limits{}); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(g.path("n"), []byte("x"), 0o600)
	if got := lines(t, g.write(WriteOptions{})); len(got) != 1 || got[0][0] != tar.TypeReg {
		t.Errorf("%q", got)
	}
}

// TestOverlay: overlayfs takes what Extract makes for what the layer means, and Write tells what was done on top of it.
func TestOverlay(t *testing.T) {
	if !singleID() {
		t.Skip("mounting is for the inside")
	}
	lower, upper, top := newTarget(t), newTarget(t), newTarget(t)
	for _, e := range []struct {
		g *target
		b []byte
	}{
		{lower, archive(file("keep", "1"), file("gone", "1"), file("dir/old", "1"), file("replaced/old", "1"), file("dir/stay", "1"), symlink("l", "x").owner(3, 4), file("own", "x").owner(5, 6))},
		{upper, archive(file(".wh.gone", ""), file("dir/.wh.old", ""), folder("replaced"), file("replaced/.wh..wh..opq", ""), file("replaced/new", "2"))},
	} {
		if _, err := e.g.extract(e.b, Limits{}); err != nil {
			t.Fatal(err)
		}
	}
	work, merged := top.base+"/work", top.base+"/merged"
	os.Mkdir(work, 0o755)
	os.Mkdir(merged, 0o755)
	opts := "userxattr,lowerdir=" + upper.path(".") + ":" + lower.path(".") + ",upperdir=" + top.path(".") + ",workdir=" + work
	if err := syscall.Mount("overlay", merged, "overlay", 0, opts); err != nil {
		require(t, "overlay in a user namespace", err)
	}
	got := strings.Join(words(t, merged), ",")
	if want := "d dir,- dir/stay,- keep,l l -> x,- own,d replaced,- replaced/new"; got != want {
		t.Errorf("merged: %s, want %s", got, want)
	}
	err := errors.Join(os.Remove(merged+"/keep"), os.RemoveAll(merged+"/dir"), os.Mkdir(merged+"/dir", 0o700), os.WriteFile(merged+"/dir/x", []byte("3"), 0o600), os.Chmod(merged+"/own", 0o600), os.Link(merged+"/dir/x", merged+"/y"))
	if err := errors.Join(err, syscall.Unmount(merged, 0)); err != nil {
		t.Fatal(err)
	}
	b := top.write(WriteOptions{})
	want := []string{"5 dir 700 0:0", "0 dir/.wh..wh..opq 0 0:0", "0 dir/x 600 0:0", "0 .wh.keep 0 0:0", "0 own 600 5:6", "1 y 600 0:0"}
	for i, l := range lines(t, b) {
		if i >= len(want) || !strings.HasPrefix(l, want[i]) {
			t.Errorf("layer of the changes:\n%s", strings.Join(lines(t, b), "\n"))
			break
		}
	}
	fd, _ := syscall.Open(top.base, openDir, 0)
	defer syscall.Close(fd)
	if err := RemoveTree(fd, "work"); err != nil {
		t.Error(err)
	}
}

func require(t *testing.T, what string, err error) {
	t.Helper()
	if os.Getenv("MOSS_TEST_MUST_RUN") == "1" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("%s: %v", what, err)
}
