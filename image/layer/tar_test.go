package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

// The archives of the tests are written in words: one entry is a header made by the functions below.

var epoch = time.Unix(1_000_000_000, 123456789)

func file(name, content string) entry {
	return entry{h: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, body: content}
}
func folder(name string) entry {
	return entry{h: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}}
}
func symlink(name, to string) entry {
	return entry{h: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}}
}
func hardlink(name, to string) entry {
	return entry{h: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to, Mode: 0o644}}
}
func node(kind byte, name string, major, minor int64) entry {
	return entry{h: tar.Header{Typeflag: kind, Name: name, Mode: 0o600, Devmajor: major, Devminor: minor}}
}

type entry struct {
	h    tar.Header
	body string
	raw  []byte // instead: bytes as they are
}

func (e entry) mode(m int64) entry      { e.h.Mode = m; return e }
func (e entry) owner(u, g int) entry    { e.h.Uid, e.h.Gid = u, g; return e }
func (e entry) xattr(k, v string) entry { return e.pax(xattrRecord+k, v) }
func (e entry) pax(k, v string) entry {
	r := map[string]string{k: v}
	for a, b := range e.h.PAXRecords {
		r[a] = b
	}
	e.h.PAXRecords = r
	return e
}

func archive(entries ...entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.raw != nil {
			w.Flush()
			b.Write(e.raw)
			continue
		}
		e.h.Size = int64(len(e.body))
		if e.h.ModTime.IsZero() {
			e.h.ModTime = epoch
		}
		e.h.Format = tar.FormatPAX
		if err := w.WriteHeader(&e.h); err != nil {
			panic(fmt.Sprintf("%q: %v", e.h.Name, err))
		}
		io.WriteString(w, e.body)
	}
	w.Close()
	return b.Bytes()
}

// raw makes a ustar header by hand, for what archive/tar refuses to write, and its content padded.
func raw(kind byte, name, link string, size int64, content string) entry {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00%011o\x00", size, epoch.Unix()))
	b[156] = kind
	copy(b[157:], link)
	copy(b[257:], "ustar\x0000")
	return entry{raw: append(seal(b), pad(content)...)}
}

// seal sets a header's check sum.
func seal(b []byte) []byte {
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func pad(s string) []byte { return append([]byte(s), make([]byte, (512-len(s)%512)%512)...) }

// paxRaw makes an extended header of records given as text, unchecked.
func paxRaw(kind byte, records ...string) entry {
	var b strings.Builder
	for _, r := range records {
		n := len(r) + 3
		for n != len(fmt.Sprintf("%d %s\n", n, r)) {
			n = len(fmt.Sprintf("%d %s\n", n, r))
		}
		fmt.Fprintf(&b, "%d %s\n", n, r)
	}
	return raw(kind, "pax", "", int64(b.Len()), b.String())
}

// target is a directory to extract into, with its surroundings: the canary that nobody may touch.
type target struct {
	t      *testing.T
	base   string
	canary string
	fd     int
}

func newTarget(t *testing.T) *target {
	t.Helper()
	g := &target{t: t, base: t.TempDir()}
	g.canary = g.base + "/canary"
	for _, d := range []string{"/canary", "/canary/dir", "/layer", "/layer/fs"} {
		if err := os.Mkdir(g.base+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(g.canary+"/file", []byte("canary"), 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	if g.fd, err = syscall.Open(g.base+"/layer/fs", openDir|syscall.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Close(g.fd)
		fd, _ := syscall.Open(g.base, openDir, 0)
		defer syscall.Close(fd)
		if err := RemoveTree(fd, "layer"); err != nil {
			t.Errorf("removing: %v", err)
		}
	})
	return g
}

func (g *target) owners() *Recorder {
	fd, err := syscall.Open(g.base+"/layer", openDir|syscall.O_CLOEXEC, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { syscall.Close(fd) })
	return NewRecorder(fd, "owners")
}

func (g *target) extract(b []byte, l Limits) (Stats, error) {
	g.t.Helper()
	o := g.owners()
	stats, err := Extract(context.Background(), bytes.NewReader(b), g.fd, Options{Limits: l, Owners: o})
	if cerr := o.Close(); cerr != nil {
		g.t.Error(cerr)
	}
	return stats, err
}

func (g *target) path(name string) string { return filepath.Join(g.base, "layer/fs", name) }

// snapshot describes a tree line by line: type, mode, size, time, content or link text.
func snapshot(t *testing.T, root string) string {
	t.Helper()
	var lines []string
	filepath.Walk(root, func(p string, info os.FileInfo, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(root, p)
		text := ""
		switch {
		case info.Mode().IsRegular():
			b, _ := os.ReadFile(p)
			text = string(b)
		case info.Mode()&os.ModeSymlink != 0:
			text, _ = os.Readlink(p)
		}
		st := info.Sys().(*syscall.Stat_t)
		lines = append(lines, fmt.Sprintf("%s %v %d:%d %d %d %q", rel, info.Mode(), st.Uid, st.Gid, st.Nlink, info.ModTime().UnixNano(), text))
		return nil
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// words lists a tree's names with their kinds: "d a", "- a/b", "l c -> x", "w gone", "o a" for opaque.
func words(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	filepath.Walk(root, func(p string, info os.FileInfo, err error) error {
		rel, _ := filepath.Rel(root, p)
		kind := map[os.FileMode]string{0: "-", os.ModeDir: "d", os.ModeSymlink: "l", os.ModeNamedPipe: "p", os.ModeDevice | os.ModeCharDevice: "w"}[info.Mode().Type()]
		var b [8]byte
		if n, err := sys.Lgetxattr(p, opaqueXattr, b[:]); err == nil && string(b[:n]) == "y" {
			kind = "o"
		}
		if kind == "l" {
			to, _ := os.Readlink(p)
			rel += " -> " + to
		}
		if rel != "." || kind == "o" {
			out = append(out, kind+" "+rel)
		}
		return nil
	})
	return out
}
