package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build/cache"
	"github.com/moss-sandbox/moss/image/build/dockerfile"
	"github.com/moss-sandbox/moss/image/build/task"
	"github.com/moss-sandbox/moss/image/build/tree"
)

// A transfer is a COPY or ADD made ready: what the worker shall do, and the digests of all that is copied.
type transfer struct {
	op      dockerfile.Copy
	dest    string
	sources []task.Stack
	actions []task.Action
	sums    []string
	later   []func(ctx context.Context) error // downloads whose digest is known already
	pending *task.Sum                         // a digest that only the worker can tell
	memo    cache.Key                         // where that digest is remembered
}

// copy is COPY and ADD.
func (s *stage) copy(ctx context.Context, op dockerfile.Copy) (cached bool, err error) {
	t := &transfer{op: op, dest: absolute(s.cfg.Config.WorkingDir, op.Dest)}
	if err := s.gather(ctx, t); err != nil {
		return false, err
	}
	if t.pending != nil && !s.fresh && !s.b.o.NoCache {
		if err := s.sum(ctx, t); err != nil {
			return false, err
		}
	}
	if t.pending == nil {
		key, createdBy := s.copyKey(t)
		if hit, err := s.probe(ctx, key, createdBy, true); hit || err != nil {
			return hit, err
		}
	}
	return false, s.transfer(ctx, t)
}

func (s *stage) copyKey(t *transfer) (cache.Key, string) {
	sum := t.sums[0]
	if len(t.sums) > 1 {
		sum = "multi:" + string(cache.NewKey(t.sums...))
	}
	createdBy := nopTight(s.cfg, copyWords(t.op, sum, t.dest))
	return s.key("copy", createdBy, fmt.Sprintf("link=%t unpack=%v", t.op.Link, t.op.Unpack)), createdBy
}

// gather finds out what is copied from where.
func (s *stage) gather(ctx context.Context, t *transfer) error {
	if err := checkCopy(t.op); err != nil {
		return err
	}
	var local []string
	for _, src := range t.op.Sources {
		remote, err := s.gatherRemote(ctx, t, src)
		if err != nil {
			return err
		}
		if !remote {
			local = append(local, src)
		}
	}
	if len(local) > 0 {
		if err := s.gatherLocal(ctx, t, local); err != nil {
			return err
		}
	}
	for _, in := range t.op.Inline {
		t.actions = append(t.actions, task.Action{Write: &task.Write{
			Name: in.Name, Data: in.Data, Dest: t.dest, Chmod: t.op.Chmod, Time: s.b.epoch, Who: task.Who{Chown: t.op.Chown},
		}})
		t.sums = append(t.sums, "file:"+string(cache.NewKey(in.Name, in.Data)))
	}
	return nil
}

func checkCopy(op dockerfile.Copy) error {
	if _, err := tree.ParseMode(op.Chmod); err != nil {
		return err
	}
	if len(op.Sources)+len(op.Inline) > 1 && !strings.HasSuffix(op.Dest, "/") && path.Base(op.Dest) != "." {
		return fmt.Errorf("when using %s with more than one source file, the destination must be a directory and end with a /", verb(op))
	}
	if op.Checksum != "" && (len(op.Sources) != 1 || !isRemote(op.Sources[0])) {
		return errors.New("checksum requires exactly one source, over HTTP(S) or Git")
	}
	return nil
}

func verb(op dockerfile.Copy) string {
	if op.Add {
		return "ADD"
	}
	return "COPY"
}

// gatherLocal takes from the context, from a named one, from a stage or from an image.
func (s *stage) gatherLocal(ctx context.Context, t *transfer, sources []string) error {
	sel := tree.Selection{Sources: sources, Excludes: t.op.Excludes, Parents: t.op.Parents}
	if t.op.From == "" {
		return s.gatherContext(ctx, t, s.b.main, sel)
	}
	from, err := s.b.plan.Source(t.op.From, s.index, s.b.o)
	if err != nil {
		return err
	}
	if from.Kind == BaseContext {
		c, err := s.b.named(ctx, from.Name)
		if err != nil {
			return err
		}
		return s.gatherContext(ctx, t, c, sel)
	}
	img, err := s.b.base(ctx, from, s.b.plan.Stages[s.index].Platform)
	if err != nil {
		return err
	}
	return s.gatherImage(ctx, t, img, sel)
}

func (s *stage) gatherImage(ctx context.Context, t *transfer, img Image, sel tree.Selection) error {
	lowers, err := s.b.lowers(ctx, img.Layers)
	if err != nil {
		return err
	}
	t.sources = append(t.sources, task.Stack{Lowers: lowers})
	at := len(t.sources) - 1
	t.actions = append(t.actions, task.Action{Copy: &task.Copy{
		Source: at, Select: sel, Dest: t.dest, Chmod: t.op.Chmod, Time: s.b.epoch, Who: task.Who{Chown: t.op.Chown, Keep: true},
	}})
	words, err := json.Marshal(sel)
	if err != nil {
		return err
	}
	t.memo = cache.NewKey("sum 1", string(image.ChainID(img.Config.RootFS.DiffIDs)), string(words))
	if sum, ok := s.b.index.Sum(t.memo); ok {
		t.sums = append(t.sums, sum)
		return nil
	}
	t.pending = &task.Sum{Source: at, Select: sel}
	return nil
}

// sum asks the worker for the digest that is pending.
func (s *stage) sum(ctx context.Context, t *transfer) error {
	res, err := s.b.do(ctx, task.Task{Root: t.sources[t.pending.Source], Sources: t.sources, Actions: []task.Action{{Sum: t.pending}}}, nil)
	if err != nil {
		return err
	}
	return s.learn(t, res)
}

func (s *stage) learn(t *transfer, res task.Result) error {
	if len(res.Sums) != 1 {
		return errors.New("internal error: the worker gave no digest")
	}
	t.sums, t.pending = append(t.sums, res.Sums[0]), nil
	return s.b.index.PutSum(t.memo, res.Sums[0])
}

// transfer lets the worker do it and commits the layer.
func (s *stage) transfer(ctx context.Context, t *transfer) error {
	for _, f := range t.later {
		if err := f(ctx); err != nil {
			return err
		}
	}
	up, err := s.b.d.Trees.NewUpper(ctx)
	if err != nil {
		return err
	}
	job, err := s.job(ctx, t, up)
	if err == nil {
		var res task.Result
		if res, err = s.b.do(ctx, job, nil); err == nil && t.pending != nil {
			err = s.learn(t, res)
		}
	}
	if err != nil {
		s.b.d.Trees.Discard(up)
		return err
	}
	key, createdBy := s.copyKey(t)
	return s.commitUpper(ctx, key, createdBy, up, nil)
}

// job is the task of a transfer. With --link it writes to an empty tree, so that the layer does not depend on what is below.
func (s *stage) job(ctx context.Context, t *transfer, up Upper) (task.Task, error) {
	lowers, err := s.b.lowers(ctx, s.layers)
	if err != nil {
		return task.Task{}, err
	}
	job := task.Task{Root: task.Stack{Lowers: lowers, Upper: up.Dir, Work: up.Work}, Sources: t.sources, Actions: t.actions}
	if t.op.Link {
		job.Root = task.Stack{Upper: up.Dir}
		if t.op.Chown != "" && len(s.layers) > 0 {
			job.Sources = append(job.Sources, task.Stack{Lowers: lowers})
			setUsers(job.Actions, len(job.Sources)-1)
		}
	}
	if t.pending != nil {
		job.Actions = append(job.Actions, task.Action{Sum: t.pending})
	}
	return job, nil
}

func setUsers(actions []task.Action, source int) {
	for _, a := range actions {
		switch {
		case a.Copy != nil:
			a.Copy.Users = &source
		case a.Unpack != nil:
			a.Unpack.Users = &source
		case a.Write != nil:
			a.Write.Users = &source
		}
	}
}

// commitUpper makes a layer of what has changed, if anything has, and commits the step.
func (s *stage) commitUpper(ctx context.Context, key cache.Key, createdBy string, up Upper, prune []string) error {
	layer, err := s.b.d.Trees.Commit(ctx, up, CommitOptions{Lowers: s.layers, Newest: s.b.epoch, Prune: prune})
	if err != nil {
		return fmt.Errorf("storing layer: %w", err)
	}
	return s.commit(ctx, key, createdBy, layer)
}

// makeWorkdir is WORKDIR: the directory is made where it is missing, and then it is a layer.
func (s *stage) makeWorkdir(ctx context.Context, op dockerfile.Workdir) (cached bool, err error) {
	dir := s.workdir(op)
	before := s.cfg
	s.cfg = s.cloneConfig()
	s.cfg.Config.WorkingDir = dir
	createdBy := nopTight(before, "WORKDIR "+dir)
	if dir == "/" {
		return s.plainStep(ctx, createdBy)
	}
	key := s.key("workdir", createdBy)
	if hit, err := s.probe(ctx, key, createdBy, true); hit || err != nil {
		return hit, err
	}
	return false, s.mkdir(ctx, key, createdBy, dir)
}

func (s *stage) mkdir(ctx context.Context, key cache.Key, createdBy, dir string) error {
	lowers, err := s.b.lowers(ctx, s.layers)
	if err != nil {
		return err
	}
	up, err := s.b.d.Trees.NewUpper(ctx)
	if err != nil {
		return err
	}
	res, err := s.b.do(ctx, task.Task{
		Root:    task.Stack{Lowers: lowers, Upper: up.Dir, Work: up.Work},
		Actions: []task.Action{{Mkdir: &task.Mkdir{Path: dir, Mode: 0o755, Time: s.b.epoch, Who: task.Who{Chown: s.cfg.Config.User}}}},
	}, nil)
	if err != nil || res.Written() == 0 {
		s.b.d.Trees.Discard(up)
		if err != nil {
			return err
		}
		return s.commit(ctx, key, createdBy, nil)
	}
	return s.commitUpper(ctx, key, createdBy, up, nil)
}
