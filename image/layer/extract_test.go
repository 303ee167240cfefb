package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/userns/sys"
)

func TestTree(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []entry
		want    string
	}{
		{"plain", list(folder("d"), file("d/f", "x"), symlink("d/l", "/etc/passwd"), node(tar.TypeFifo, "p", 0, 0)), "d d,- d/f,l d/l -> /etc/passwd,p p"},
		{"dot names", list(folder("./"), file("./a", "x"), file("././b//c", "y")), "- a,d b,- b/c"},
		{"missing parents", list(file("a/b/c", "x")), "d a,d a/b,- a/b/c"},
		{"git's global header", list(paxRaw('g', "comment=x"), file("a", "x")), "- a"},
		{"whiteout", list(file(".wh.a", ""), folder("d"), file("d/.wh.b", "")), "w a,d d,w d/b"},
		{"opaque", list(folder("d"), file("d/.wh..wh..opq", ""), file("d/a", "x")), "o d,- d/a"},
		{"opaque before its directory", list(file("d/.wh..wh..opq", ""), folder("d")), "o d"},
		{"opaque root", list(file(".wh..wh..opq", "")), "o ."},
		{"aufs files", list(file(".wh..wh.plnk/1", "x"), file(".wh..wh.aufs", "")), "REFUSED"},
		{"aufs file", list(file(".wh..wh.aufs", ""), file("a", "x")), "- a"},
		{"whiteout, then file", list(file(".wh.a", ""), file("a", "x")), "- a"},
		{"file, then whiteout", list(file("a", "x"), file(".wh.a", "")), "- a"},
		{"whiteout, then directory", list(file(".wh.a", ""), folder("a"), file("a/b", "x")), "o a,- a/b"},
		{"whiteout, then content", list(file(".wh.a", ""), file("a/b", "x")), "o a,- a/b"},
		{"directory, then whiteout", list(folder("a"), file("a/b", "x"), file(".wh.a", "")), "o a,- a/b"},
		{"file replaces directory", list(folder("a"), file("a/b/c", "x"), file("a", "y")), "- a"},
		{"directory replaces link", list(symlink("a", "/etc"), folder("a"), file("a/b", "")), "d a,- a/b"},
		{"last wins", list(file("a", "1"), symlink("a", "x"), file("a", "2")), "- a"},
		{"devices keep their place", list(node(tar.TypeChar, "n", 1, 3), node(tar.TypeBlock, "b", 8, 0)), "- b,- n"},
	} {
		g := newTarget(t)
		_, err := g.extract(archive(c.entries...), Limits{})
		if c.want == "REFUSED" {
			if err == nil {
				t.Errorf("%s: accepted", c.name)
			}
			continue
		}
		if got := strings.Join(words(t, g.path(".")), ","); err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestMetadata(t *testing.T) {
	old := syscall.Umask(0o077) // must not matter
	defer syscall.Umask(old)
	g := newTarget(t)
	at := time.Unix(1_234_567_890, 987654321)
	d := folder("d").mode(0o1777)
	d.h.ModTime = at
	f := file("d/f", "content").mode(0o640)
	f.h.ModTime = at
	l := symlink("d/l", "x")
	l.h.ModTime = at
	if _, err := g.extract(archive(d, f, l, hardlink("d/h", "d/f"), file("late/x", ""), file("d/later", "")), Limits{}); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"d": os.ModeDir | os.ModeSticky | 0o777, "d/f": 0o640, "d/h": 0o640, "d/l": os.ModeSymlink | 0o777} {
		info, err := os.Lstat(g.path(name))
		if err != nil || info.Mode() != mode || !info.ModTime().Equal(at) {
			t.Errorf("%s: %v %v %v", name, info.Mode(), info.ModTime(), err)
		}
	}
	if info, _ := os.Stat(g.path("late")); info.Mode().Perm() != 0o755 || info.ModTime().Unix() != 0 {
		t.Errorf("directory nobody described: %v %v", info.Mode(), info.ModTime())
	}
	a, _ := os.Stat(g.path("d/f"))
	b, _ := os.Stat(g.path("d/h"))
	if !os.SameFile(a, b) {
		t.Error("hard link is a copy")
	}
}

func TestRootEntry(t *testing.T) {
	g := newTarget(t)
	root := folder("./").mode(0o711)
	if _, err := g.extract(archive(root, file("a", "x")), Limits{}); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(g.path(".")); info.Mode().Perm() != 0o711 || !info.ModTime().Equal(epoch) {
		t.Errorf("%v %v", info.Mode(), info.ModTime())
	}
}

// TestOwners: with all ids owners are set, with one they are recorded; set-id bits of others never become ours.
func TestOwners(t *testing.T) {
	g := newTarget(t)
	stats, err := g.extract(archive(
		file("setuid", "x").owner(0, 0).mode(0o4755), file("foreign", "x").owner(12, 34).mode(0o6755), folder("dir").owner(12, 34),
		symlink("link", "x").owner(12, 34), node(tar.TypeFifo, "fifo", 0, 0).owner(12, 34), hardlink("same", "foreign"), hardlink("link2", "link"),
		node(tar.TypeChar, "null", 1, 3).owner(0, 5).mode(0o666)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(g.path("setuid")); info.Mode()&os.ModeSetuid == 0 {
		t.Error("set-uid of the own id is lost")
	}
	o := g.owners()
	lookup := func(name string) Record {
		fd, _ := sys.OpenBeside(g.fd, name, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
		if fd >= 0 {
			defer syscall.Close(fd)
		}
		r, _, err := o.Lookup(fd, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return r
	}
	if r := lookup("null"); r != (Record{UID: 0, GID: 5, Mode: syscall.S_IFCHR | 0o666, Major: 1, Minor: 3}) {
		t.Errorf("device: %+v", r)
	}
	if !singleID() {
		var st syscall.Stat_t
		for _, name := range []string{"foreign", "dir", "link", "fifo", "same", "link2"} {
			if syscall.Lstat(g.path(name), &st); st.Uid != 12 || st.Gid != 34 {
				t.Errorf("%s: %d:%d", name, st.Uid, st.Gid)
			}
		}
		if stats.Owners != 1 {
			t.Errorf("%d owners recorded", stats.Owners)
		}
		return
	}
	if info, _ := os.Stat(g.path("foreign")); info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
		t.Error("set-id of somebody else is set-id of us")
	}
	for _, name := range []string{"dir", "link", "fifo", "link2"} {
		if r := lookup(name); r != (Record{UID: 12, GID: 34}) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := lookup("same"); r != (Record{UID: 12, GID: 34, Mode: syscall.S_IFREG | 0o6755}) {
		t.Errorf("set-id file: %+v", r)
	}
}

// TestReplacedOwner: the record of a name that is replaced does not survive.
func TestReplacedOwner(t *testing.T) {
	if !singleID() {
		t.Skip("owners are set here, not recorded")
	}
	g := newTarget(t)
	if _, err := g.extract(archive(folder("d"), symlink("d/l", "x").owner(1, 2), file("d", ""), folder("d"), symlink("d/l", "x")), Limits{}); err != nil {
		t.Fatal(err)
	}
	if r, ok, err := g.owners().Lookup(-1, "d/l"); ok || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRecordEncoding(t *testing.T) {
	// What github.com/rootless-containers/proto's Go code makes of {uid: 1000, gid: 4294967295}.
	umoci := []byte("\x08\xe8\x07\x10\xff\xff\xff\xff\x0f")
	if r, err := unmarshalRecord(umoci); err != nil || r != (Record{UID: 1000, GID: -1}) {
		t.Errorf("%+v, %v", r, err)
	}
	if b := (Record{UID: 1000, GID: -1}).marshal(); !bytes.Equal(b, umoci) {
		t.Errorf("%x", b)
	}
	for _, r := range []Record{{UID: 0, GID: 0}, {UID: -1, GID: -1}, {1, 2, 3, 4, 5}} {
		if got, err := unmarshalRecord(r.marshal()); err != nil || got != r {
			t.Errorf("%+v: %+v, %v", r, got, err)
		}
	}
	for _, bad := range []string{"\x08", "\x0a\x01x", "\x00\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if _, err := unmarshalRecord([]byte(bad)); err == nil {
			t.Errorf("%x accepted", bad)
		}
	}
}

func TestXattrs(t *testing.T) {
	g := newTarget(t)
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // cap_net_raw+ep, version 2
	stats, err := g.extract(archive(file("f", "x").xattr("user.k", "v\x00w").xattr("security.capability", capability).mode(0o755),
		folder("d").xattr("user.k", "dir"), file("bad", "").xattr("user.overlay.opaque", "y").xattr("nonsense", "x")), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var b [64]byte
	for name, want := range map[string]string{"f user.k": "v\x00w", "d user.k": "dir", "f security.capability": capability} {
		file, key, _ := strings.Cut(name, " ")
		if n, err := sys.Lgetxattr(g.path(file), key, b[:]); err != nil || string(b[:n]) != want {
			t.Errorf("%s: %q, %v", name, b[:max(n, 0)], err)
		}
	}
	if _, err := sys.Lgetxattr(g.path("bad"), "user.overlay.opaque", b[:]); err == nil || stats.Dropped != 2 {
		t.Errorf("overlay attribute taken: %v, %d dropped", err, stats.Dropped)
	}
}

func TestSparse(t *testing.T) {
	g := newTarget(t)
	// Two pieces of data in 8 MiB: GNU format 1.0, the map in the first block.
	content := append(pad("2\n0\n512\n4194304\n512\n"), bytes.Repeat([]byte("a"), 512)...)
	content = append(content, bytes.Repeat([]byte("b"), 512)...)
	e := paxRaw('x', "GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=s", "GNU.sparse.realsize=8388608")
	stats, err := g.extract(archive(e, raw('0', "x", "", int64(len(content)), string(content))), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(g.path("s"), &st); err != nil || st.Size != 8<<20 || st.Blocks*512 > 2<<20 || stats.Size != 8<<20 {
		t.Errorf("%d bytes in %d blocks, %v", st.Size, st.Blocks, err)
	}
	b, _ := os.ReadFile(g.path("s"))
	if b[511] != 'a' || b[512] != 0 || b[4<<20] != 'b' || b[8<<20-1] != 0 {
		t.Error("content is not where the map says")
	}
}

// TestMemory: many entries take no more memory than few.
func TestMemory(t *testing.T) {
	const n = 5_000
	g := newTarget(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	opts := Options{Owners: g.owners(), Packed: func() int64 {
		return 1 << 40
	}}
	if _, err := Extract(t.Context(), &endless{n: n, left: n}, g.fd, opts); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	peak = max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc
	if peak > 8<<20 {
		t.Errorf("%d bytes kept after %d entries", peak, n)
	}
	if _, err := Extract(t.Context(), &endless{n: n, left: n}, g.fd, Options{Limits: Limits{Entries: n - 1}}); err == nil {
		t.Error("the limit on entries does not hold")
	}
}

func TestCancel(t *testing.T) {
	g := newTarget(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Extract(ctx, bytes.NewReader(archive(file("a", ""))), g.fd, Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestTruncated: a stream cut anywhere but behind its end mark is an error, and leaves the canary alone.
func TestTruncated(t *testing.T) {
	whole := archive(folder("d"), file("d/f", strings.Repeat("x", 3000)), symlink("l", "y"))
	for _, at := range []int{1, 511, 513, 1024, 2000, len(whole) - 1024 - 100} {
		g := newTarget(t)
		if _, err := g.extract(whole[:at], Limits{}); err == nil && at%512 != 0 {
			t.Errorf("cut at %d: accepted", at)
		}
	}
}

func TestRemoveTree(t *testing.T) {
	g := newTarget(t)
	deep := g.path("deep")
	os.Mkdir(deep, 0o755)
	fd, _ := syscall.Open(deep, openDir, 0)
	for range 2100 { // deeper than descriptors and PATH_MAX
		if err := sys.MkdirBeside(fd, "d", 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := sys.OpenBeside(fd, "d", openDir, 0)
		if err != nil {
			t.Fatal(err)
		}
		syscall.Close(fd)
		fd = next
	}
	syscall.Close(fd)
	os.MkdirAll(g.path("work/work/x"), 0o755)
	os.Chmod(g.path("work/work"), 0)
	os.MkdirAll(g.path("ro"), 0o755)
	os.WriteFile(g.path("ro/f"), nil, 0o400)
	os.Chmod(g.path("ro"), 0o500)
	os.Symlink(g.canary, g.path("link"))
	for i := range 1100 {
		os.WriteFile(g.path(fmt.Sprintf("ro/%d", i)), nil, 0o400)
	}
	before := snapshot(t, g.canary)
	for _, name := range []string{"deep", "work", "ro", "link", "missing"} {
		if err := RemoveTree(g.fd, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(g.path(".")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if snapshot(t, g.canary) != before {
		t.Error("a link was followed")
	}
}

// FuzzExtract: no stream changes anything outside, panics, or takes long.
func FuzzExtract(f *testing.F) {
	for _, c := range hostile {
		if b := archive(c.entries...); len(b) < 16<<10 {
			f.Add(b)
		}
	}
	f.Add(archive(folder("d"), file("d/.wh.x", ""), hardlink("h", "d/f")))
	f.Fuzz(func(t *testing.T, b []byte) {
		g := newTarget(t)
		before := snapshot(t, g.canary)
		g.extract(b, Limits{Size: 1 << 20, Entries: 1000})
		if snapshot(t, g.canary) != before {
			t.Fatal("the canary is touched")
		}
	})
}

// TestDifferential: random harmless archives give the tree that GNU tar's rules give: last entry wins, parents appear.
func TestDifferential(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for range 50 {
		var entries []entry
		model := map[string]string{}
		for range 40 {
			name := fmt.Sprintf("d%d/f%d", rnd.Intn(4), rnd.Intn(4))
			body := strings.Repeat("x", rnd.Intn(2000))
			entries = append(entries, file(name, body))
			model[name] = body
		}
		g := newTarget(t)
		if _, err := g.extract(archive(entries...), Limits{}); err != nil {
			t.Fatal(err)
		}
		for name, body := range model {
			if b, err := os.ReadFile(g.path(name)); err != nil || string(b) != body {
				t.Fatalf("%s: %d bytes, %v", name, len(b), err)
			}
		}
	}
}
