package machine

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
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
//	machine/KEY-TIME/         layers; root.json in it
//	machine/KEY-TIME/retired  since when it is not the present one (its modification time)
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
	h := newPrint()
	b := newBuilder(ctx, src, bars, e, h)
	if err := b.look(); err != nil {
		return "", fmt.Errorf("looking at %q: %w", src.Dir, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func newPrint() hash.Hash {
	h := fnv.New128a()
	fmt.Fprintf(h, "%s\x00%v\x00", formatVersion, os.Geteuid())
	return h
}

// A cache is the entry of one source and owner.
type cache struct{ dir, key string }

func (c cache) pointerPath() string { return filepath.Join(c.dir, c.key+".json") }

// pointer reads KEY.json, and how long ago it was written; a pointer that cannot be read is none.
func (c cache) pointer() (p pointer, age time.Duration) {
	b, err := os.ReadFile(c.pointerPath())
	if err != nil || json.Unmarshal(b, &p) != nil || p.Version != 1 || strings.ContainsRune(p.Dir, '/') {
		return pointer{}, 0
	}
	st, err := os.Stat(c.pointerPath())
	if err != nil {
		return pointer{}, 0
	}
	return p, time.Since(st.ModTime())
}

// shows tells whether the pointer's layers are what a glance saw, in this boot.
func (p pointer) shows(seen string) bool {
	return p.Dir != "" && p.Glance == seen && p.Boot == bootID()
}

// present returns the layers whose glance is the given one, and how long ago every directory was looked at.
func (c cache) present(seen string) (*Root, time.Duration) {
	p, age := c.pointer()
	if !p.shows(seen) {
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

// renew makes layers, unless they are the present ones after all: when a glance sees nothing new but is due for a look at
// every directory.
func (c cache) renew(ctx context.Context, src Source, bars barriers, seen string) (*Root, error) {
	unlock, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	old, age := c.pointer()
	if root, err := c.root(old.Dir); err == nil && old.shows(seen) {
		if age < wholeEvery { // somebody else made them while we waited
			return root, nil
		}
		all, err := print(ctx, src, bars, whole)
		if err != nil {
			return nil, err
		}
		if all == old.Whole {
			return root, c.point(old)
		}
	}
	return c.replace(ctx, src, bars, old, seen)
}

// replace makes layers and retires the old ones.
func (c cache) replace(ctx context.Context, src Source, bars barriers, old pointer, seen string) (*Root, error) {
	name, root, all, err := c.make(ctx, src, bars)
	if err != nil {
		return nil, err
	}
	if old.Dir != "" {
		_ = os.WriteFile(filepath.Join(c.dir, old.Dir, retiredFile), nil, 0o600) // if not, they stay
	}
	return root, c.point(pointer{Dir: name, Glance: seen, Whole: all})
}

// make makes layers beside the others and gives them their name when they are complete. It returns the fingerprint as well.
func (c cache) make(ctx context.Context, src Source, bars barriers) (name string, root *Root, all string, err error) {
	c.sweep()
	stage, err := os.MkdirTemp(c.dir, newPrefix)
	if err != nil {
		return "", nil, "", fmt.Errorf("making a view of %q: %w", src.Dir, err)
	}
	name = c.key + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	sum := newPrint()
	root, err = c.fill(newBuilder(ctx, src, bars, whole, sum), stage, filepath.Join(c.dir, name))
	if err == nil {
		err = os.Rename(stage, filepath.Join(c.dir, name))
	}
	if err != nil {
		return "", nil, "", errors.Join(fmt.Errorf("making a view of %q: %w", src.Dir, err), os.RemoveAll(stage))
	}
	return name, root, hex.EncodeToString(sum.Sum(nil)), nil
}

func (c cache) fill(b *builder, stage, final string) (*Root, error) {
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
		return root, os.Lchown(stage, b.src.Owner.UID, b.src.Owner.GID)
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
