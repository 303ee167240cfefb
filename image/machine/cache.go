package machine

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The cache, below the data root:
//
//	machine/lock              held while layers are made
//	machine/KEY.json          which layers are the present ones of a source and an owner
//	machine/KEY-PRINT/        layers; root.json in it
//	machine/KEY-PRINT/retired since when it is not the present one (its modification time)
//	machine/.new-…            being made
const (
	cacheName   = "machine"
	rootFile    = "root.json"
	retiredFile = "retired"
	newPrefix   = ".new-"
)

// formatVersion is part of every fingerprint: raise it when layers are made differently.
const formatVersion = "1"

// wholeEvery is how long a glance suffices. Package managers and changes at a tree's top are seen at once; a directory made
// by hand deep below, at the latest after this time: until then it shows, and only cannot be written to inside.
const wholeEvery = time.Hour

// keepRetired is how long replaced layers stay for somebody who has just asked for them.
const keepRetired = 10 * time.Minute

// A pointer is the content of KEY.json.
type pointer struct {
	Version int    `json:"version"`
	Dir     string `json:"dir"`    // name of the layers' directory
	Glance  string `json:"glance"` // fingerprints
	Whole   string `json:"whole"`
	Boot    string `json:"boot"` // layers are not synced: after a crash of the machine they may be half written
}

// cached returns the present layers, made anew where needed.
func cached(ctx context.Context, src Source, bars barriers) (*Root, error) {
	c := cache{dir: filepath.Join(src.DataRoot, cacheName), key: key(src)}
	seen, err := print(ctx, src, bars, glance)
	if err != nil {
		return nil, err
	}
	if root, age := c.present(seen); root != nil && age < wholeEvery {
		return root, nil
	}
	return c.renew(ctx, src, bars, seen)
}

// key names the source and the owner.
func key(src Source) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%d:%d", src.Dir, src.Owner.UID, src.Owner.GID)
	return hex.EncodeToString(h.Sum(nil))
}

// print takes the fingerprint of the source. It need not resist an attacker: who can change the source can change what is in it.
func print(ctx context.Context, src Source, bars barriers, e extent) (string, error) {
	h := fnv.New128a()
	fmt.Fprintf(h, "%s\x00%v\x00", formatVersion, os.Geteuid())
	b := newBuilder(ctx, src, bars, e, h)
	if err := b.look(); err != nil {
		return "", fmt.Errorf("looking at %q: %w", src.Dir, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// A cache is the entry of one source and owner.
type cache struct{ dir, key string }

func (c cache) pointerPath() string { return filepath.Join(c.dir, c.key+".json") }

func (c cache) pointer() (pointer, time.Duration) {
	var p pointer
	b, err := os.ReadFile(c.pointerPath())
	if err != nil || json.Unmarshal(b, &p) != nil || p.Version != 1 || p.Boot != bootID() || strings.ContainsRune(p.Dir, '/') {
		return pointer{}, 0
	}
	st, err := os.Stat(c.pointerPath())
	if err != nil {
		return pointer{}, 0
	}
	return p, time.Since(st.ModTime())
}

// present returns the layers whose glance is the given one, and how long ago every directory was looked at.
func (c cache) present(seen string) (*Root, time.Duration) {
	p, age := c.pointer()
	if p.Glance != seen {
		return nil, 0
	}
	root, err := c.root(p.Dir)
	if err != nil {
		return nil, 0
	}
	return root, age
}

func (c cache) root(name string) (*Root, error) {
	b, err := os.ReadFile(filepath.Join(c.dir, name, rootFile))
	if err != nil {
		return nil, err
	}
	root := &Root{}
	if err := json.Unmarshal(b, root); err != nil {
		return nil, fmt.Errorf("reading %q: %w", rootFile, err)
	}
	return root, nil
}

// renew looks at every directory and makes layers if they differ from the present ones.
func (c cache) renew(ctx context.Context, src Source, bars barriers, seen string) (*Root, error) {
	unlock, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if root, age := c.present(seen); root != nil && age < wholeEvery { // somebody else made them while we waited
		return root, nil
	}
	all, err := print(ctx, src, bars, whole)
	if err != nil {
		return nil, err
	}
	p, _ := c.pointer()
	if root, err := c.root(p.Dir); err == nil && p.Whole == all {
		return root, c.point(pointer{Dir: p.Dir, Glance: seen, Whole: all})
	}
	name, root, err := c.make(ctx, src, bars, all)
	if err != nil {
		return nil, err
	}
	if p.Dir != "" && p.Dir != name {
		_ = os.WriteFile(filepath.Join(c.dir, p.Dir, retiredFile), nil, 0o600)
	}
	return root, c.point(pointer{Dir: name, Glance: seen, Whole: all})
}

// make makes layers beside the others and gives them their name when they are complete.
func (c cache) make(ctx context.Context, src Source, bars barriers, print string) (string, *Root, error) {
	c.sweep()
	stage, err := os.MkdirTemp(c.dir, newPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("making a view of %q: %w", src.Dir, err)
	}
	name := c.key + "-" + print[:16] + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	root, err := c.fill(ctx, src, bars, stage, filepath.Join(c.dir, name))
	if err == nil {
		err = os.Rename(stage, filepath.Join(c.dir, name))
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("making a view of %q: %w", src.Dir, err), os.RemoveAll(stage))
	}
	return name, root, nil
}

func (c cache) fill(ctx context.Context, src Source, bars barriers, stage, final string) (*Root, error) {
	b := newBuilder(ctx, src, bars, whole, fnv.New128a())
	root, err := b.build(stage, final)
	if err != nil {
		return nil, err
	}
	root.Cache = final
	j, err := json.Marshal(root)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(stage, rootFile), j, 0o600); err != nil {
		return nil, err
	}
	if b.realRoot { // who mounts is that owner, not root
		return root, os.Lchown(stage, src.Owner.UID, src.Owner.GID)
	}
	return root, nil
}

// point writes KEY.json; its modification time says when every directory was looked at.
func (c cache) point(p pointer) error {
	p.Version, p.Boot = 1, bootID()
	j, err := json.Marshal(p)
	if err != nil {
		return err
	}
	tmp := c.pointerPath() + ".new"
	if err := os.WriteFile(tmp, j, 0o600); err != nil {
		return fmt.Errorf("noting the view of a directory: %w", err)
	}
	if err := os.Rename(tmp, c.pointerPath()); err != nil {
		return fmt.Errorf("noting the view of a directory: %w", err)
	}
	return nil
}

// lock waits until no other process makes layers; the kernel releases it with the process.
func (c cache) lock() (unlock func(), err error) {
	if err := os.MkdirAll(c.dir, 0o711); err != nil {
		return nil, fmt.Errorf("making the cache of views: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(c.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the cache of views: %w", err)
	}
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the cache of views: %w", err)
	}
	return func() { f.Close() }, nil
}

// sweep removes what a process that was killed has left half made.
//
// Must be called with the lock held.
func (c cache) sweep() {
	half, _ := filepath.Glob(filepath.Join(c.dir, newPrefix+"*"))
	for _, d := range half {
		_ = os.RemoveAll(d)
	}
}

// Collect removes layers that were replaced some time ago and that inUse does not claim (it gets Root.Cache). It returns how
// many it removed. Must be called with the data root of the Source.
func Collect(dataRoot string, inUse func(cache string) bool) (int, error) {
	dir := filepath.Join(dataRoot, cacheName)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("collecting old views: %w", err)
	}
	removed := 0
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		st, err := os.Stat(filepath.Join(path, retiredFile))
		if err != nil || time.Since(st.ModTime()) < keepRetired || inUse(path) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return removed, fmt.Errorf("collecting old views: %w", err)
		}
		removed++
	}
	return removed, nil
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
