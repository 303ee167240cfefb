package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

// Digests remembers the digests of files by what stat says of them, so that a second build reads metadata only. It must be
// safe for concurrent use.
type Digests interface {
	Get(path string, st *sys.Stat) (digest string, ok bool)
	Put(path string, st *sys.Stat, digest string)
}

// Sum returns the digest of what a selection takes: types, names, permissions, content, link targets, and with owners also
// the owners; not times. It is 64 hex digits behind "file:", "dir:" or "multi:", as Docker's history shows it. Memory may be nil.
func Sum(root *Dir, s Selection, memory Digests, owners Owners) (string, error) {
	items, err := s.Items(root)
	if err != nil {
		return "", err
	}
	return SumItems(root, s, items, memory, owners)
}

// SumItems is Sum for sources that are already resolved. owners nil: all files count as root's.
func SumItems(root *Dir, s Selection, items []Item, memory Digests, owners Owners) (string, error) {
	v := &summer{items: items, memory: memory, owners: owners, jobs: make(chan job, 64)}
	v.start()
	err := s.Walk(root, items, v)
	close(v.jobs)
	v.wait.Wait()
	if err == nil {
		err = v.err
	}
	if err != nil {
		return "", err
	}
	return kind(items) + ":" + v.total(), nil
}

func kind(items []Item) string {
	switch {
	case len(items) != 1:
		return "multi"
	case items[0].Dir:
		return "dir"
	}
	return "file"
}

type summer struct {
	items  []Item
	memory Digests
	owners Owners
	lines  []*line
	jobs   chan job
	wait   sync.WaitGroup
	mu     sync.Mutex
	err    error
}

type line struct{ meta, content string }

type job struct {
	f    *os.File
	path string
	st   sys.Stat
	to   *line
}

func (v *summer) start() {
	for range min(runtime.GOMAXPROCS(0), 8) {
		v.wait.Add(1)
		go v.work()
	}
}

func (v *summer) work() {
	defer v.wait.Done()
	h, buf := sha256.New(), make([]byte, 256<<10)
	for j := range v.jobs {
		if err := v.hash(j, h, buf); err != nil {
			v.mu.Lock()
			v.err = err
			v.mu.Unlock()
		}
	}
}

func (v *summer) hash(j job, h hash.Hash, buf []byte) error {
	defer j.f.Close()
	h.Reset()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{j.f}, buf); err != nil {
		return fmt.Errorf("reading %q: %w", j.path, err)
	}
	if err := hashXattrs(h, j.f); err != nil {
		return err
	}
	j.to.content = hex.EncodeToString(h.Sum(nil))
	if after, err := sys.StatFd(int(j.f.Fd())); v.memory != nil && err == nil && after.Ctim == j.st.Ctim && after.Size == j.st.Size {
		v.memory.Put(j.path, &j.st, j.to.content)
	}
	return nil
}

func hashXattrs(h io.Writer, f *os.File) error {
	attrs, err := sys.Xattrs(int(f.Fd()))
	if err != nil {
		return nil
	}
	var names []string
	for n := range attrs {
		if !foreignXattr(n) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(h, "\x00%s=%s", n, attrs[n])
	}
	return nil
}

// Enter implements Visitor.
func (v *summer) Enter(e *Entry) error {
	to := e.To
	if to == "" && !v.items[e.Item].Dir {
		to = v.items[e.Item].Name
	}
	own, mode := Owner{}, e.Stat.Mode
	if v.owners != nil {
		own, mode = v.owners.Get(e.Dir, e.Name, &e.Stat)
	}
	l := &line{meta: fmt.Sprintf("%q %o %d:%d", to, mode, own.UID, own.GID)}
	v.lines = append(v.lines, l)
	switch e.Type() {
	case syscall.S_IFREG:
		return v.regular(e, l)
	case syscall.S_IFLNK:
		target, err := sys.ReadlinkAt(e.Dir.fd(), e.Name)
		l.content = fmt.Sprintf("%q", target)
		return err
	case syscall.S_IFCHR, syscall.S_IFBLK:
		l.content = fmt.Sprint(e.Stat.Rdev)
	}
	return nil
}

func (v *summer) regular(e *Entry, l *line) error {
	if v.memory != nil {
		if d, ok := v.memory.Get(e.Path, &e.Stat); ok {
			l.content = d
			return nil
		}
	}
	f, err := e.Dir.Regular(e.Name)
	if err != nil {
		return err
	}
	v.jobs <- job{f, e.Path, e.Stat, l}
	return nil
}

// Leave implements Visitor.
func (v *summer) Leave(*Entry) error { return nil }

func (v *summer) total() string {
	h := sha256.New()
	for _, l := range v.lines {
		fmt.Fprintf(h, "%s %s\n", l.meta, l.content)
	}
	return hex.EncodeToString(h.Sum(nil))
}
