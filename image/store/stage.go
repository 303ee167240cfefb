package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/layer"
)

// oldPrefix begins the names of trees that are gone for readers and wait to be removed.
const oldPrefix = ".old-"

// stage is a tree that is being made: layers/MAP/.new-ID, locked by who makes it, swept when the lock is free.
type stage struct {
	ss     *Session
	name   string
	mapKey string
	worker Worker
	lock   Lock
	done   bool
}

func (ss *Session) newStage(ctx context.Context, mapKey string, w Worker) (*stage, error) {
	release, err := ss.s.Hold(ctx) // an unlocked stage would be swept
	if err != nil {
		return nil, err
	}
	defer release()
	st := &stage{ss: ss, name: tempName("layers/" + mapKey), mapKey: mapKey, worker: w}
	for _, dir := range []string{"layers/" + mapKey, st.name} {
		if err := ss.s.fs.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("making room for a layer: %w", err)
		}
	}
	if st.lock, err = ss.s.fs.Lock(ctx, st.name, Exclusive); err != nil {
		return nil, errors.Join(err, ss.s.fs.Remove(st.name))
	}
	return st, nil
}

// commit marks the tree and gives it its name. A usable tree that came first stays; one that another boot left goes.
func (st *stage) commit(diff image.Digest, stats layer.Stats) error {
	s, dir := st.ss.s, layerDir(st.mapKey, diff)
	if err := s.writeMark(st.name, mark{V: version, Unsynced: s.bootID(), Size: stats.Size, Entries: stats.Entries, Opaque: stats.OpaqueRoot}); err != nil {
		return fmt.Errorf("marking layer: %w", err)
	}
	if s.whole(dir) {
		return nil
	}
	if old, err := s.hideTree(dir); err == nil {
		defer st.remove(old)
	}
	if err := s.fs.Rename(st.name, dir); err != nil {
		if s.whole(dir) { // somebody else was quicker
			return nil
		}
		return fmt.Errorf("storing layer: %w", err)
	}
	st.done = true
	st.lock.Unlock()
	st.ss.note(diff, st.worker)
	return nil
}

// writeMark writes a mark without sync: it is worth nothing after this boot unless it says so itself.
func (s *Store) writeMark(dir string, k mark) error {
	b, err := encode(k)
	if err != nil {
		return err
	}
	f, err := s.fs.Create(dir + "/mark")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// hideTree takes a tree away from readers, in one step, and returns its new name.
func (s *Store) hideTree(dir string) (string, error) {
	i := strings.LastIndexByte(dir, '/')
	old := dir[:i+1] + oldPrefix + randomID()
	return old, s.fs.Rename(dir, old)
}

// drop removes what was not committed. It takes its time also when the pull was interrupted.
func (st *stage) drop() {
	if st.done {
		return
	}
	st.remove(st.name)
	st.lock.Unlock()
}

func (st *stage) remove(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = st.worker.RemoveTree(ctx, st.ss.s.root+"/"+name) // what is left is swept by the next collection
}

// Settle syncs the file system and then takes the marks off the trees that were whole before. It waits for everybody's
// dirty data: run it in a process of its own after a pull, never before the pull's success is told. Several at once do
// nothing but one.
func (s *Store) Settle(ctx context.Context) error {
	l, err := s.fs.Lock(ctx, "locks/settle", TryExclusive)
	if errors.Is(err, ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Unlock()
	dirs, err := s.unsettled()
	if err != nil || len(dirs) == 0 {
		return err
	}
	if err := s.fs.SyncFS(); err != nil {
		return fmt.Errorf("syncing layers: %w", err)
	}
	for _, dir := range dirs {
		k, err := s.readMark(dir)
		if err != nil { // removed meanwhile
			continue
		}
		k.Unsynced = ""
		if err := s.writeJSON(dir, "mark", k); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// unsettled lists the trees of this boot that carry its mark.
func (s *Store) unsettled() ([]string, error) {
	trees, err := s.trees()
	if err != nil {
		return nil, err
	}
	var dirs []string
	boot := s.bootID()
	for _, t := range trees {
		if k, err := s.readMark(t.dir()); err == nil && k.Unsynced == boot {
			dirs = append(dirs, t.dir())
		}
	}
	return dirs, nil
}

// tree is one entry below layers/MAP.
type tree struct{ mapKey, base string }

func (t tree) dir() string { return "layers/" + t.mapKey + "/" + t.base }

// diff returns the layer it is of; "" for what is not finished or not wanted any more.
func (t tree) diff() image.Digest {
	if !image.IsID(t.base) {
		return ""
	}
	return image.Digest("sha256:" + t.base)
}

func (s *Store) trees() ([]tree, error) {
	keys, err := s.fs.ReadDir("layers")
	if err != nil {
		return nil, err
	}
	var all []tree
	for _, k := range keys {
		if !validMapKey(k) {
			continue
		}
		bases, err := s.fs.ReadDir("layers/" + k)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, b := range bases {
			all = append(all, tree{k, b})
		}
	}
	return all, nil
}
