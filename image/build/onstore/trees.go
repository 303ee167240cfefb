package onstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/build/task"
	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/image/layer/compress"
	"github.com/moss-sandbox/moss/image/store"
)

// Lowers implements build.Trees.
func (s *Session) Lowers(ctx context.Context, layers []image.Layer) ([]string, error) {
	img := &store.Image{Layers: layers}
	dirs, err := s.c.Store.Lowers(img, s.c.MapKey)
	var missing *store.NotUnpackedError
	if !errors.As(err, &missing) {
		return dirs, err
	}
	if err := s.ss.Unpack(ctx, missing.Layers, store.Fetch{MapKey: s.c.MapKey, Worker: s.c.Worker, Limits: s.c.Limits}); err != nil {
		return nil, err
	}
	return s.c.Store.Lowers(img, s.c.MapKey)
}

// NewUpper implements build.Trees.
func (s *Session) NewUpper(context.Context) (build.Upper, error) {
	dir := filepath.Join(s.dir, fmt.Sprint(s.next.Add(1)))
	u := build.Upper{Dir: filepath.Join(dir, "fs"), Work: filepath.Join(dir, "work")}
	for _, d := range []string{dir, u.Dir, u.Work} {
		if err := s.mkdir(d); err != nil {
			return u, fmt.Errorf("making room for a step: %w", err)
		}
	}
	return u, nil
}

// Discard implements build.Trees.
func (s *Session) Discard(u build.Upper) {
	_ = s.c.Worker.RemoveTree(context.Background(), filepath.Dir(u.Dir)) // what is left goes with the session
}

// Commit implements build.Trees.
func (s *Session) Commit(ctx context.Context, u build.Upper, o build.CommitOptions) (*image.Layer, error) {
	defer s.Discard(u)
	dir := filepath.Dir(u.Dir)
	if err := s.prune(ctx, u, o); err != nil {
		return nil, err
	}
	pack := store.PackOptions{Owners: []string{dir}}
	if o.Newest != nil {
		pack.Newest = o.Newest.Unix()
	}
	l, stats, err := s.ss.Pack(ctx, s.c.Worker, u.Dir, pack)
	if err != nil || stats.Entries == 0 {
		return nil, err
	}
	if err := s.ss.Adopt(ctx, s.c.Worker, s.c.MapKey, u.Dir, filepath.Join(dir, "owners"), l, stats); err != nil {
		return nil, err
	}
	return &l, nil
}

// prune removes the mount points that the command's sandbox has left in the upper, where there are any.
func (s *Session) prune(ctx context.Context, u build.Upper, o build.CommitOptions) error {
	paths, err := present(u.Dir, o.Prune)
	if err != nil || len(paths) == 0 {
		return err
	}
	lowers, err := s.Lowers(ctx, o.Lowers)
	if err != nil {
		return err
	}
	t := task.Task{Root: task.Stack{Upper: u.Dir}, Actions: []task.Action{{Prune: &task.Prune{Paths: paths}}}}
	for _, l := range lowers {
		t.Sources = append(t.Sources, task.Stack{Lowers: []string{l}})
	}
	res, err := s.c.Tasks.Do(ctx, t, nil)
	if err != nil {
		return err
	}
	return res.Err()
}

// present keeps the paths that are, or may be, in a directory.
func present(dir string, paths []string) ([]string, error) {
	root, err := tree.Open(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var out []string
	for _, p := range paths {
		if root.MayHave(p) {
			out = append(out, p)
		}
	}
	return out, nil
}

// Volume implements build.Trees.
func (s *Session) Volume(_ context.Context, name string) (string, error) {
	if name == "" || strings.Trim(name, "0123456789abcdef-.") != "" || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("internal error: cache mount %q", name)
	}
	all := filepath.Join(s.c.Store.Root(), "caches")
	dir := filepath.Join(all, name)
	for _, d := range []string{all, dir} {
		if err := s.mkdir(d); err != nil && !errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("making cache mount: %w", err)
		}
	}
	return dir, nil
}

// Tar implements build.Trees.
func (s *Session) Tar(_ context.Context, l image.Layer) (io.ReadCloser, error) {
	f, _, err := s.c.Store.OpenBlob(l.Digest)
	if err != nil {
		return nil, err
	}
	r, err := compress.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}

// Ingest implements build.Trees.
func (s *Session) Ingest(ctx context.Context, r io.Reader, diffID image.Digest) (image.Layer, error) {
	return s.ss.Ingest(ctx, r, diffID)
}
