package tree

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// makeTar writes entries in words: "name", "name/", "name=content", "name->link", "name=>hardlink", "name|c" and |b, |p.
func makeTar(t testing.TB, words ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, w := range words {
		h, content := header(w)
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(tw, content)
	}
	tw.Close()
	return b.Bytes()
}

func header(w string) (*tar.Header, string) {
	if name, target, ok := strings.Cut(w, "=>"); ok {
		return &tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}, ""
	}
	if name, target, ok := strings.Cut(w, "->"); ok {
		return &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}, ""
	}
	if name, kind, ok := strings.Cut(w, "|"); ok {
		return &tar.Header{Name: name, Typeflag: map[string]byte{"c": tar.TypeChar, "b": tar.TypeBlock, "p": tar.TypeFifo}[kind], Devmajor: 1, Devminor: 3, Mode: 0o666}, ""
	}
	name, content, _ := strings.Cut(w, "=")
	h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}
	if strings.HasSuffix(name, "/") {
		h.Typeflag, h.Mode = tar.TypeDir, 0o755
	}
	return h, content
}

// A cell is a tree in a directory whose neighbours must not change.
type cell struct {
	t    *testing.T
	root string
	tree string
}

func newCell(t *testing.T, files ...string) *cell {
	t.Helper()
	root := grow(t, append([]string{"canary=safe", "outside/f=safe"}, files...)...)
	must(t, os.MkdirAll(filepath.Join(root, "tree"), 0o755))
	return &cell{t, root, filepath.Join(root, "tree")}
}

func (c *cell) intact() {
	c.t.Helper()
	for _, name := range []string{"canary", "outside/f"} {
		if b, err := os.ReadFile(filepath.Join(c.root, name)); err != nil || string(b) != "safe" {
			c.t.Errorf("%s is %q %v", name, b, err)
		}
	}
	for _, dir := range []string{".", "outside"} {
		names, _ := os.ReadDir(filepath.Join(c.root, dir))
		if want := map[string]int{".": 3, "outside": 1}[dir]; len(names) != want {
			c.t.Errorf("%s holds %v", dir, names)
		}
	}
}

func plainUnpack(dst *Dir, dest string, b []byte, l Limits) error {
	_, err := Unpack(dst, bytes.NewReader(b), Unpacking{Dest: dest, Limits: l}, same{}, func() int64 { return int64(len(b)) })
	return err
}

func TestHostileArchives(t *testing.T) {
	up := strings.Repeat("../", 8)
	for _, c := range []struct {
		name  string
		words []string
		err   error // nil: harmless, the tree is want
		want  string
	}{
		{"dots", []string{"../canary=x"}, ErrEscape, ""},
		{"dots inside", []string{"a/../../canary=x"}, ErrEscape, ""},
		{"dots that stay", []string{"a/../b=x"}, nil, "b=x"},
		{"absolute", []string{"/abs=x"}, nil, "abs=x"},
		{"many slashes", []string{"//a///b=x"}, nil, "a/b=x"},
		{"link then file", []string{"l->../outside", "l/f=x"}, nil, "l->../outside outside/f=x"},
		{"absolute link then file", []string{"l->/outside", "l/f=x"}, nil, "l->/outside outside/f=x"},
		{"far link then file", []string{"l->" + up + "canary", "l=x"}, nil, "l=x"},
		{"link to link", []string{"a->../outside", "b->a", "b/f=x"}, nil, "a->../outside b->a outside/f=x"},
		{"link replaced by directory", []string{"l->../outside", "l/", "l/f=x"}, nil, "l/f=x"},
		{"file where a directory is", []string{"d/f=x", "d=y"}, nil, "d=y"},
		{"directory where a file is", []string{"d=y", "d/"}, nil, "d/"},
		{"hard link out", []string{"h=>../canary"}, ErrEscape, ""},
		{"hard link through a link", []string{"l->../outside", "h=>l/f"}, ErrLink, ""},
		{"hard link to nothing", []string{"h=>nothing"}, ErrLink, ""},
		{"hard link to a directory", []string{"d/", "h=>d"}, ErrLink, ""},
		{"hard link to itself", []string{"h=>h"}, ErrLink, ""},
		{"hard link to absolute name", []string{"a=x", "h=>/a"}, nil, "a=x h=x"},
		{"hard link to a link", []string{"l->../canary", "h=>l", "h=x"}, nil, "h=x l->../canary"},
		{"root entry", []string{"./", "a=x"}, nil, "a=x"},
		{"only dots", []string{"..=x"}, ErrEscape, ""},
		{"fifo", []string{"p|p", "p=x"}, nil, "p=x"},
		{"case twins", []string{"a=1", "A=2"}, nil, "A=2 a=1"},
		{"the same twice", []string{"a=1", "a=2"}, nil, "a=2"},
		{"whiteout names are plain files", []string{".wh.a=x", ".wh..wh..opq=y"}, nil, ".wh..wh..opq=y .wh.a=x"},
		{"loop of links", []string{"a->b", "b->a", "a/f=x"}, syscall.ELOOP, ""},
		{"300 deep", []string{strings.Repeat("d/", 300) + "f=x"}, &LimitError{}, ""},
		{"unknown type", nil, ErrType, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cell := newCell(t)
			b := makeTar(t, c.words...)
			if c.words == nil {
				b = unknownType(t)
			}
			err := plainUnpack(open(t, cell.tree), "/", b, Limits{})
			cell.intact()
			var limit *LimitError
			switch {
			case c.err == nil:
				must(t, err)
				if got := words(t, cell.tree); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			case errors.As(c.err, &limit):
				if !errors.As(err, &limit) {
					t.Errorf("got %v, want a limit", err)
				}
			case !errors.Is(err, c.err):
				t.Errorf("got %v, want %v", err, c.err)
			}
		})
	}
}

func unknownType(t *testing.T) []byte {
	t.Helper()
	b := makeTar(t, "x=")
	b[156] = 'Z'
	sum := 0
	copy(b[148:156], "        ")
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// TestHostileControl: the same archives bite when paths are joined as strings.
func TestHostileControl(t *testing.T) {
	bites := 0
	for _, words := range [][]string{{"../canary=x"}, {"l->../outside", "l/f=x"}, {"l->../canary", "l=x"}} {
		cell := newCell(t)
		for tr := tar.NewReader(bytes.NewReader(makeTar(t, words...))); ; {
			h, err := tr.Next()
			if err != nil {
				break
			}
			p := filepath.Join(cell.tree, h.Name)
			if h.Typeflag == tar.TypeSymlink {
				must(t, os.Symlink(h.Linkname, p))
				continue
			}
			b, _ := io.ReadAll(tr)
			_ = os.WriteFile(p, b, 0o644)
		}
		for _, name := range []string{"canary", "outside/f"} {
			if b, _ := os.ReadFile(filepath.Join(cell.root, name)); string(b) != "safe" {
				bites++
			}
		}
	}
	if bites != 3 {
		t.Errorf("only %d of 3 archives bite", bites)
	}
}

func TestBombs(t *testing.T) {
	big := func(n int64) io.Reader { return io.LimitReader(zeros{}, n) }
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	bomb := &bytes.Buffer{}
	tw := tar.NewWriter(bomb)
	must(t, tw.WriteHeader(&tar.Header{Name: "z", Typeflag: tar.TypeReg, Size: 8 << 20, Mode: 0o644}))
	io.Copy(tw, big(8<<20))
	tw.Close()
	g.Write(bomb.Bytes())
	g.Close()
	z, err := zstd.NewWriter(&zs)
	must(t, err)
	z.Write(bomb.Bytes())
	z.Close()
	for name, packed := range map[string][]byte{"gzip": gz.Bytes(), "zstd": zs.Bytes()} {
		cell := newCell(t)
		plain, err := Decompress(bytes.NewReader(packed))
		must(t, err)
		_, err = Unpack(open(t, cell.tree), plain, Unpacking{Dest: "/", Limits: Limits{Size: 1 << 20}}, same{}, nil)
		var limit *LimitError
		if !errors.As(err, &limit) || limit.Limit != 1<<20 {
			t.Errorf("%s: got %v", name, err)
		}
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("f%d=", i))
	}
	err = plainUnpack(open(t, newCell(t).tree), "/", makeTar(t, many...), Limits{Entries: 50})
	if err == nil || err.Error() != "archive has more than 50 entries" {
		t.Errorf("entries: got %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestReadSmall: what is no regular file, or endless, is an error at once (CVE-2024-9676).
func TestReadSmall(t *testing.T) {
	root := grow(t, "big="+strings.Repeat("x", 2000), "ok=fine", "l->ok", "out->/etc/passwd", "zero->/dev/zero", "d/")
	must(t, syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	must(t, os.Truncate(filepath.Join(root, "big"), 4<<30))
	d := open(t, root)
	begun := time.Now()
	for _, name := range []string{"fifo", "big", "out", "zero", "d", "nothing"} {
		if b, err := d.ReadSmall(name, 1000); err == nil {
			t.Errorf("%s was read: %q", name, b[:min(20, len(b))])
		}
	}
	if time.Since(begun) > 20*time.Second {
		t.Errorf("it took %v", time.Since(begun))
	}
	for _, name := range []string{"ok", "l", "../../ok"} {
		if b, err := d.ReadSmall(name, 1000); err != nil || string(b) != "fine" {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
}

// TestCopyWhileLinksSwap copies out of and into a tree in which somebody exchanges a directory and a link to the outside
// (CVE-2018-15664). Whatever a copy returns, nothing from outside is in the result and nothing outside is changed.
func TestCopyWhileLinksSwap(t *testing.T) {
	cell := newCell(t)
	must(t, os.MkdirAll(filepath.Join(cell.tree, "d"), 0o755))
	must(t, os.WriteFile(filepath.Join(cell.tree, "d/f"), []byte("inside"), 0o644))
	must(t, os.Symlink("../outside", filepath.Join(cell.tree, "l")))
	stop := swap(cell.tree)
	defer stop()
	src := open(t, cell.tree)
	into := grow(t, "f=copied", "g=copied")
	for range 300 {
		out := t.TempDir()
		_, _ = Copy(open(t, out), src, Selection{Sources: []string{"d"}}, Target{Dest: "/o/"}, same{})
		if b, err := os.ReadFile(filepath.Join(out, "o/f")); err == nil && string(b) == "safe" {
			t.Fatal("a file from outside was copied")
		}
		_, _ = Copy(src, open(t, into), Selection{Sources: []string{"."}}, Target{Dest: "/d"}, same{})
	}
	stop()
	for _, name := range []string{"canary", "outside/f"} {
		if b, _ := os.ReadFile(filepath.Join(cell.root, name)); string(b) != "safe" {
			t.Fatalf("%s was written", name)
		}
	}
	if _, err := os.Stat(filepath.Join(cell.root, "outside/g")); err == nil {
		t.Fatal("a file was made outside")
	}
}

// swap exchanges d and l below dir until stopped.
func swap(dir string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		a, b, tmp := filepath.Join(dir, "d"), filepath.Join(dir, "l"), filepath.Join(dir, "t")
		for {
			select {
			case <-done:
				return
			default:
			}
			_ = os.Rename(a, tmp)
			_ = os.Rename(b, a)
			_ = os.Rename(tmp, b)
			if rand.IntN(4) == 0 {
				time.Sleep(time.Microsecond)
			}
		}
	}()
	closed := false
	return func() {
		if !closed {
			closed = true
			close(done)
			<-ended
		}
	}
}

func FuzzIgnore(f *testing.F) {
	for _, s := range []string{"*\n!a/b\n", "**/*.go\n# c\n", "a\\b\n[", "!\n", "/a/../b\n", "a/**/b\n!a/x/b"} {
		f.Add(s, "a/x/b")
	}
	f.Fuzz(func(t *testing.T, ignore, name string) {
		p, err := ReadIgnore(strings.NewReader(ignore))
		if err != nil {
			return
		}
		p.Excludes(name)
		if v, err := p.judge("a", verdict{}); err == nil {
			_, _ = p.judge("a/b", v)
		}
		p.mayReturn("a")
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(makeTar(f, "a=1", "d/", "l->../outside", "l/f=x", "h=>a"))
	f.Add(makeTar(f, "p|p", "c|c", "../x=1"))
	var gz bytes.Buffer
	g := gzip.NewWriter(&gz)
	g.Write(makeTar(f, "a=1"))
	g.Close()
	f.Add(gz.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		cell := newCell(t)
		IsArchive(bytes.NewReader(b))
		plain, err := Decompress(bytes.NewReader(b))
		if err == nil {
			_, _ = Unpack(open(t, cell.tree), plain, Unpacking{Dest: "/d", Limits: Limits{Entries: 100, Size: 1 << 20}}, same{}, nil)
			plain.Close()
		}
		cell.intact()
	})
}

func FuzzFind(f *testing.F) {
	f.Add("a/b", "../outside", "x")
	f.Add("../../canary", "/", "l/f")
	f.Fuzz(func(t *testing.T, p, target, q string) {
		cell := newCell(t)
		if target != "" && !strings.ContainsRune(target, 0) {
			_ = os.Symlink(target, filepath.Join(cell.tree, "l"))
		}
		d := open(t, cell.tree)
		for _, name := range []string{p, "l", "l/" + q} {
			b, err := d.ReadSmall(name, 100)
			if err == nil && string(b) == "safe" {
				t.Fatalf("%q leads outside", name)
			}
			_, _ = Copy(open(t, t.TempDir()), d, Selection{Sources: []string{name}}, Target{Dest: "/" + q}, same{})
			_, _ = Copy(d, open(t, grow(t, "f=x", "canary=x")), Selection{Sources: []string{"."}}, Target{Dest: "/" + name}, same{})
		}
		if b, _ := os.ReadFile(filepath.Join(cell.root, "canary")); string(b) != "safe" {
			t.Fatal("the canary was written")
		}
	})
}
