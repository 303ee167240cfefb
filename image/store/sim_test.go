package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
)

// simDisk is a FS that forgets: what was not synced is, after its crash, there, lost, empty or cut off, each directory entry
// and each file on its own. It dies at its dieAt-th change and answers errDead from then on.
type simDisk struct {
	mu      sync.Mutex
	root    *simNode
	changes int
	dieAt   int // 0: never
	locks   map[string]int
}

var _ FS = (*simDisk)(nil)

var errDead = errors.New("the power is gone")

// simNode is a file or a directory: how it is, and how it is known to be on the platters.
type simNode struct {
	dir     bool
	data    []byte
	synced  []byte
	entries map[string]*simNode
	durable map[string]*simNode
	pending []simOp // changes of entries since the last sync
}

// simOp is one atomic change of a directory: names and what they are afterwards, nil for nothing.
type simOp map[string]*simNode

func newDirNode() *simNode {
	return &simNode{dir: true, entries: map[string]*simNode{}, durable: map[string]*simNode{}}
}

func newSimDisk() *simDisk { return &simDisk{root: newDirNode(), locks: map[string]int{}} }

func (n *simNode) apply(op simOp) {
	n.pending = append(n.pending, op)
	change(n.entries, op)
}

func change(m map[string]*simNode, op simOp) {
	for name, node := range op {
		if node == nil {
			delete(m, name)
		} else {
			m[name] = node
		}
	}
}

func (n *simNode) sync() {
	n.synced = bytes.Clone(n.data)
	n.durable, n.pending = maps.Clone(n.entries), nil
}

// crashed returns what is found after the power has come back.
func (n *simNode) crashed(r *rand.Rand) *simNode {
	out := newDirNode()
	if !n.dir {
		out.dir = false
		out.data = n.survivor(r)
		out.synced = bytes.Clone(out.data)
		return out
	}
	entries := maps.Clone(n.durable)
	inOrder, kept := r.Intn(2) == 0, r.Intn(len(n.pending)+1)
	for i, op := range n.pending {
		if inOrder && i < kept || !inOrder && r.Intn(2) == 0 {
			change(entries, op)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		out.entries[name] = entries[name].crashed(r)
	}
	out.durable = maps.Clone(out.entries)
	return out
}

// survivor is one of what a file's content may be.
func (n *simNode) survivor(r *rand.Rand) []byte {
	if bytes.Equal(n.data, n.synced) {
		return n.data
	}
	switch r.Intn(4) {
	case 0:
		return n.synced
	case 1:
		return nil
	case 2:
		return bytes.Clone(n.data[:r.Intn(len(n.data)+1)])
	}
	return n.data
}

// crash returns a new disk with what has survived.
func (d *simDisk) crash(r *rand.Rand) *simDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := newSimDisk()
	next.root = d.root.crashed(r)
	return next
}

// begin counts a change; with the disk locked.
func (d *simDisk) begin() error {
	if d.changes++; d.dieAt > 0 && d.changes >= d.dieAt {
		return errDead
	}
	return nil
}

func (d *simDisk) dead() bool { return d.dieAt > 0 && d.changes >= d.dieAt }

func (d *simDisk) find(name string) (*simNode, error) {
	n := d.root
	for part := range strings.SplitSeq(path.Clean(strings.TrimPrefix(name, "/")), "/") {
		if part == "." {
			continue
		}
		if n = n.entries[part]; n == nil {
			return nil, &fs.PathError{Op: "sim", Path: name, Err: fs.ErrNotExist}
		}
	}
	return n, nil
}

// do runs one operation on a name: its node, if any, and the directory it is in.
func (d *simDisk) do(name string, changes bool, f func(dir, n *simNode, base string) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead() {
		return errDead
	}
	if changes {
		if err := d.begin(); err != nil {
			return err
		}
	}
	dir, err := d.find(path.Dir(name))
	if err != nil {
		return err
	}
	n, _ := d.find(name)
	return f(dir, n, path.Base(name))
}

func exists(n *simNode, name string) error {
	if n == nil {
		return &fs.PathError{Op: "sim", Path: name, Err: fs.ErrNotExist}
	}
	return nil
}

func (d *simDisk) ReadFile(name string) (b []byte, err error) {
	err = d.do(name, false, func(_, n *simNode, _ string) error {
		if err := exists(n, name); err != nil {
			return err
		}
		b = bytes.Clone(n.data)
		return nil
	})
	return b, err
}

func (d *simDisk) ReadDir(name string) (names []string, err error) {
	err = d.do(name, false, func(_, n *simNode, _ string) error {
		if err := exists(n, name); err != nil {
			return err
		}
		names = slices.Sorted(maps.Keys(n.entries))
		return nil
	})
	return names, err
}

func (d *simDisk) Stat(name string) (info fs.FileInfo, err error) {
	err = d.do(name, false, func(_, n *simNode, base string) error {
		if err := exists(n, name); err != nil {
			return err
		}
		info = simInfo{base, n.dir, int64(len(n.data))}
		return nil
	})
	return info, err
}

func (d *simDisk) Open(name string) (f File, err error) {
	err = d.do(name, false, func(_, n *simNode, _ string) error {
		f = &simFile{d: d, n: n}
		return exists(n, name)
	})
	return f, err
}

func (d *simDisk) Create(name string) (f File, err error) {
	err = d.do(name, true, func(dir, n *simNode, base string) error {
		if n != nil {
			return fs.ErrExist
		}
		n = &simNode{}
		dir.apply(simOp{base: n})
		f = &simFile{d: d, n: n}
		return nil
	})
	return f, err
}

func (d *simDisk) Mkdir(name string) error {
	return d.do(name, true, func(dir, n *simNode, base string) error {
		if n != nil {
			return fs.ErrExist
		}
		dir.apply(simOp{base: newDirNode()})
		return nil
	})
}

func (d *simDisk) Rename(from, to string) error {
	return d.do(from, true, func(dir, n *simNode, base string) error {
		if err := exists(n, from); err != nil {
			return err
		}
		old, _ := d.find(to)
		if old != nil && old.dir && len(old.entries) > 0 {
			return fs.ErrExist
		}
		toDir, err := d.find(path.Dir(to))
		if err != nil {
			return err
		}
		if toDir == dir {
			dir.apply(simOp{base: nil, path.Base(to): n})
			return nil
		}
		toDir.apply(simOp{path.Base(to): n})
		dir.apply(simOp{base: nil})
		return nil
	})
}

func (d *simDisk) Remove(name string) error {
	return d.do(name, true, func(dir, n *simNode, base string) error {
		if err := exists(n, name); err != nil {
			return err
		}
		if len(n.entries) > 0 {
			return errors.New("directory not empty")
		}
		dir.apply(simOp{base: nil})
		return nil
	})
}

func (d *simDisk) SyncDir(name string) error {
	return d.do(name, true, func(_, n *simNode, _ string) error {
		if err := exists(n, name); err != nil {
			return err
		}
		n.durable, n.pending = maps.Clone(n.entries), nil
		return nil
	})
}

func (d *simDisk) SyncFS() error {
	return d.do(".", true, func(_, n *simNode, _ string) error {
		syncAll(n)
		return nil
	})
}

func syncAll(n *simNode) {
	n.sync()
	for _, c := range n.entries {
		syncAll(c)
	}
}

func (d *simDisk) Lock(_ context.Context, name string, how LockMode) (Lock, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead() {
		return nil, errDead
	}
	switch held := d.locks[name]; {
	case (how == Shared || how == TryShared) && held >= 0:
		d.locks[name]++
	case held == 0:
		d.locks[name] = -1
	default:
		return nil, ErrLocked
	}
	return &simLock{d: d, name: name, shared: how == Shared || how == TryShared}, nil
}

type simLock struct {
	d      *simDisk
	name   string
	shared bool
}

func (l *simLock) Unlock() {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if l.shared {
		l.d.locks[l.name]--
	} else {
		l.d.locks[l.name] = 0
	}
}

type simFile struct {
	d   *simDisk
	n   *simNode
	off int64
}

func (f *simFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.off)
	f.off += int64(n)
	return n, err
}

func (f *simFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return bytes.NewReader(f.n.data).ReadAt(p, off)
}

func (f *simFile) Write(p []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.begin(); err != nil {
		return 0, err
	}
	f.n.data = append(f.n.data, p...)
	return len(p), nil
}

func (f *simFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.begin(); err != nil {
		return err
	}
	f.n.synced = bytes.Clone(f.n.data)
	return nil
}

func (f *simFile) Close() error { return nil }

type simInfo struct {
	name string
	dir  bool
	size int64
}

func (i simInfo) Name() string       { return i.name }
func (i simInfo) Size() int64        { return i.size }
func (i simInfo) ModTime() time.Time { return time.Time{} }
func (i simInfo) IsDir() bool        { return i.dir }
func (i simInfo) Sys() any           { return nil }
func (i simInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}

// simWorker unpacks into the simulated disk as plainWorker does into a real one.
type simWorker struct{ d *simDisk }

func (w simWorker) Unpack(_ context.Context, target string, r io.Reader, _ layer.Limits) (layer.Stats, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return layer.Stats{}, err
	}
	if err := w.d.Mkdir(target[1:] + "/fs"); err != nil {
		return layer.Stats{}, err
	}
	f, err := w.d.Create(target[1:] + "/fs/content")
	if err == nil {
		_, err = f.Write(b)
	}
	return layer.Stats{DiffID: image.SumBytes(b), Size: int64(len(b)), Entries: 1}, err
}

func (w simWorker) RemoveTree(_ context.Context, name string) error {
	return w.remove(strings.TrimPrefix(name, "/"))
}

func (w simWorker) remove(name string) error {
	names, err := w.d.ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, n := range names {
		if err := w.remove(name + "/" + n); err != nil {
			return err
		}
	}
	return errors.Join(err, w.d.Remove(name))
}

// simStore opens the store on a disk, in a boot of its own.
func simStore(d *simDisk, boot int) *Store {
	s := open(d, Options{})
	s.bootID = func() string { return fmt.Sprint("boot", boot) }
	if err := s.makeDirs(); err != nil {
		return nil
	}
	return s
}

// simPull pulls an image; nothing of it may panic on a dead disk.
func simPull(s *Store, w Worker, p sample) error {
	ss, err := s.Begin(context.Background())
	if err != nil {
		return err
	}
	defer ss.End()
	for _, l := range p.layers {
		f := fetch(l)
		f.Worker = w
		if err := ss.Receive(context.Background(), f); err != nil {
			return err
		}
	}
	_, err = ss.PutImage(context.Background(), p.NewImage)
	return err
}

// scenario is the work during which the power goes; promised are the names that commands have told to be there, and the
// images behind them, at its end.
func scenario(s *Store, w Worker) (promised map[string]image.Digest) {
	a, b, c := newSample(1, "a:1", "base", "a"), newSample(2, "b:1 a:2", "base", "b"), newSample(3, "b:1", "c")
	promised = map[string]image.Digest{}
	told := func(err error, names ...string) func(image.Digest) {
		return func(id image.Digest) {
			for _, n := range names {
				delete(promised, n) // until it has succeeded, either is right
				if err == nil && id != "" {
					promised[n] = id
				}
			}
		}
	}
	told(simPull(s, w, a), "a:1")(a.id())
	told(simPull(s, w, b), "b:1", "a:2")(b.id())
	_ = s.Settle(context.Background())
	told(simPull(s, w, c), "b:1")(c.id()) // the name moves
	r, _ := image.ParseRef("t:1")
	told(s.Tag(context.Background(), "a:1", r), "t:1")(a.id())
	_, err := s.Remove(context.Background(), "a:1", RemoveOptions{Worker: w})
	told(err, "a:1")("")
	_, err = s.Remove(context.Background(), "a:2", RemoveOptions{Worker: w})
	told(err, "a:2")("")
	return promised
}

// TestPowerLoss lets the power go at every change of a scenario, with several fates of what was not synced: no name without
// its bytes, no promise broken, and nothing that a check and a second pull do not repair.
func TestPowerLoss(t *testing.T) {
	whole := newSimDisk()
	scenario(simStore(whole, 0), simWorker{whole})
	if whole.changes < 50 {
		t.Fatalf("the scenario has only %d changes", whole.changes)
	}
	for at := 1; at <= whole.changes+5; at++ {
		for seed := range int64(3) {
			d := newSimDisk()
			d.dieAt = at
			s := simStore(d, 0)
			if s == nil {
				continue
			}
			promised := scenario(s, simWorker{d})
			if msg := survived(d.crash(rand.New(rand.NewSource(seed))), promised); msg != "" {
				t.Fatalf("power lost at change %d of %d, seed %d: %s", at, whole.changes, seed, msg)
			}
		}
	}
}

// survived checks a disk after a crash; "" when all holds.
func survived(d *simDisk, promised map[string]image.Digest) string {
	s, w := simStore(d, 1), simWorker{d}
	for name, id := range promised {
		if m, err := s.Lookup(name); err != nil || m.ID != id {
			return fmt.Sprintf("promised name %s: %v", name, err)
		}
	}
	if msg := namesWithBytes(s); msg != "" {
		return msg
	}
	for range 2 {
		if _, err := s.Check(context.Background(), SetAside, w); err != nil {
			return fmt.Sprintf("check: %v", err)
		}
	}
	if _, err := s.Collect(context.Background(), w); err != nil {
		return fmt.Sprintf("collect: %v", err)
	}
	p := newSample(1, "a:1", "base", "a")
	if err := simPull(s, w, p); err != nil {
		return fmt.Sprintf("second pull: %v", err)
	}
	m, err := s.Lookup("a:1")
	if err == nil {
		_, err = s.Lowers(m, "own")
	}
	if err != nil {
		return fmt.Sprintf("after the second pull: %v", err)
	}
	for _, l := range p.layers {
		b, err := d.ReadFile(layerDir("own", image.SumBytes([]byte(l))) + "/fs/content")
		if err != nil || string(b) != l {
			return fmt.Sprintf("tree of %q holds %q, %v", l, b, err)
		}
	}
	if found, err := s.Check(context.Background(), OnlyLook, w); err != nil || len(found) > 0 && !onlyTrees(found) {
		return fmt.Sprintf("last check: %v, %v", found, err)
	}
	return ""
}

// onlyTrees: trees of other images of the boot before are unpacked again when they are used.
func onlyTrees(found []Problem) bool {
	return !slices.ContainsFunc(found, func(p Problem) bool { return !strings.HasPrefix(p.File, "layers/") })
}

// namesWithBytes reads all names and hashes all they stand for.
func namesWithBytes(s *Store) string {
	all, err := s.allNames()
	if err != nil {
		return err.Error()
	}
	for _, n := range all {
		m, err := s.load(n.ID)
		if err != nil {
			return fmt.Sprintf("name %s: %v", n.Name, err)
		}
		for _, d := range append(blobsOf(m), m.ID, m.Manifest.Digest) {
			if _, err := s.ReadBlob(d, 1<<20); err != nil {
				return fmt.Sprintf("name %s: %v", n.Name, err)
			}
		}
	}
	return ""
}

// TestPowerLossControl: a store that does not sync blobs is caught by the same check.
func TestPowerLossControl(t *testing.T) {
	caught := false
	for seed := range int64(40) {
		d := newSimDisk()
		s := simStore(d, 0)
		s.fs = careless{d}
		scenario(s, simWorker{d})
		caught = caught || namesWithBytes(simStore(d.crash(rand.New(rand.NewSource(seed))), 1)) != ""
	}
	if !caught {
		t.Error("a store without fsync passes")
	}
}

// careless is a simDisk whose files are never synced.
type careless struct{ *simDisk }

func (c careless) Create(name string) (File, error) {
	f, err := c.simDisk.Create(name)
	if err != nil {
		return nil, err
	}
	return carelessFile{f}, nil
}

type carelessFile struct{ File }

func (carelessFile) Sync() error { return nil }
