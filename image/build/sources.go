package build

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	buildctx "github.com/moss-sandbox/moss/image/build/context"
	"github.com/moss-sandbox/moss/image/build/task"
	"github.com/moss-sandbox/moss/image/build/tree"
)

func isRemote(src string) bool {
	_, git := buildctx.ParseGit(src, false)
	return git || buildctx.IsURL(src)
}

// gatherRemote takes a source from a URL or a git repository; false for one that is a path.
func (s *stage) gatherRemote(ctx context.Context, t *transfer, src string) (bool, error) {
	git, isGit := buildctx.ParseGit(src, false)
	if !isGit && !buildctx.IsURL(src) || t.op.From != "" {
		return false, nil
	}
	if !t.op.Add {
		if isGit {
			return true, errors.New("source can't be a git ref for COPY; use ADD")
		}
		return true, errors.New("source can't be a URL for COPY; use ADD")
	}
	if isGit {
		git.Checksum, git.KeepGit = t.op.Checksum, t.op.KeepGit != nil && *t.op.KeepGit
		return true, s.gatherGit(ctx, t, git)
	}
	return true, s.gatherURL(ctx, t, src)
}

func (s *stage) gatherGit(ctx context.Context, t *transfer, g buildctx.GitRef) error {
	dir, err := s.b.temp("git-")
	if err != nil {
		return err
	}
	c, err := buildctx.CloneGit(ctx, g, dir)
	if err != nil {
		return err
	}
	defer c.Close()
	c.Remember = false
	return s.gatherContext(ctx, t, c, tree.Selection{Sources: []string{"/"}, Excludes: t.op.Excludes})
}

// gatherURL downloads a file; with a checksum, only when the step is not in the cache.
func (s *stage) gatherURL(ctx context.Context, t *transfer, src string) error {
	dir, err := s.b.temp("url-")
	if err != nil {
		return err
	}
	at := len(t.sources)
	t.sources = append(t.sources, task.Stack{Lowers: []string{dir}, Host: true})
	action := len(t.actions)
	t.actions = append(t.actions, task.Action{})
	fetch := func(ctx context.Context) (string, error) {
		d, err := buildctx.Fetch(ctx, s.b.http(), src, t.op.Checksum, dir)
		if err != nil {
			return "", err
		}
		t.actions[action] = s.downloaded(t, at, path.Join(dir, d.Name), d.Name)
		return d.SHA256, nil
	}
	if sum, ok := strings.CutPrefix(t.op.Checksum, "sha256:"); ok && len(sum) == 64 {
		t.sums = append(t.sums, "file:"+strings.ToLower(sum))
		t.later = append(t.later, func(ctx context.Context) error { _, err := fetch(ctx); return err })
		return nil
	}
	sum, err := fetch(ctx)
	t.sums = append(t.sums, "file:"+sum)
	return err
}

// downloaded is what is done with a file from a URL: copied, or unpacked when ADD --unpack says so.
func (s *stage) downloaded(t *transfer, source int, file, name string) task.Action {
	if t.op.Unpack != nil && *t.op.Unpack && isArchive(file) {
		return s.unpack(t, source, name)
	}
	return task.Action{Copy: &task.Copy{
		Source: source, Select: tree.Selection{Sources: []string{literal(name)}}, Dest: t.dest, Chmod: t.op.Chmod, Time: s.b.epoch,
		Who: task.Who{Chown: t.op.Chown},
	}}
}

func (s *stage) unpack(t *transfer, source int, name string) task.Action {
	return task.Action{Unpack: &task.Unpack{
		Source: source, Path: name, Dest: t.dest, Chmod: t.op.Chmod, Limits: s.b.o.Limits, Who: task.Who{Chown: t.op.Chown},
	}}
}

func isArchive(file string) bool {
	root, err := tree.Open(path.Dir(file))
	if err != nil {
		return false
	}
	defer root.Close()
	return archiveIn(root, path.Base(file))
}

func archiveIn(root *tree.Dir, p string) bool {
	dir, name, err := root.Find(p)
	if err != nil {
		return false
	}
	defer dir.Close()
	f, err := dir.Regular(name)
	if err != nil {
		return false
	}
	defer f.Close()
	return tree.IsArchive(f)
}

// literal writes a path so that it is no pattern.
func literal(p string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(p)
}

// gatherContext takes files of the caller.
func (s *stage) gatherContext(ctx context.Context, t *transfer, c *buildctx.Context, sel tree.Selection) error {
	sel.Ignore = c.Ignore
	items, err := sel.Items(c.Root)
	if err != nil {
		return err
	}
	if len(items) == 0 {
		s.b.warn(0, fmt.Sprintf("%s %s matches nothing", verb(t.op), strings.Join(sel.Sources, " ")))
	}
	sum, err := tree.SumItems(c.Root, sel, items, s.b.memory(c), nil)
	if err != nil {
		return err
	}
	t.sums = append(t.sums, sum)
	at := len(t.sources)
	t.sources = append(t.sources, task.Stack{Lowers: []string{c.Path}, Host: true})
	if t.op.Add && (t.op.Unpack == nil || *t.op.Unpack) {
		return s.addItems(t, c, at, sel, items)
	}
	t.actions = append(t.actions, s.copyAction(t, at, sel))
	return nil
}

func (s *stage) copyAction(t *transfer, source int, sel tree.Selection) task.Action {
	return task.Action{Copy: &task.Copy{
		Source: source, Select: sel, Dest: t.dest, Chmod: t.op.Chmod, Time: s.b.epoch, Who: task.Who{Chown: t.op.Chown},
	}}
}

// addItems is ADD of local files: archives are unpacked, all else is copied.
func (s *stage) addItems(t *transfer, c *buildctx.Context, source int, sel tree.Selection, items []tree.Item) error {
	archives := map[int]bool{}
	for i, it := range items {
		if !it.Dir && archiveIn(c.Root, it.Real) {
			archives[i] = true
		}
	}
	if len(archives) == 0 {
		t.actions = append(t.actions, s.copyAction(t, source, sel))
		return nil
	}
	for i, it := range items {
		if archives[i] {
			t.actions = append(t.actions, s.unpack(t, source, it.Real))
			continue
		}
		one := sel
		one.Sources = []string{literal(it.Real)}
		t.actions = append(t.actions, s.copyAction(t, source, one))
	}
	return nil
}
