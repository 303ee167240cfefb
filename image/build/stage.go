package build

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build/cache"
	"github.com/moss-sandbox/moss/image/build/dockerfile"
)

// defaultPath is what a base image without PATH gets, as in Docker.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A stage is being built: the image so far and what the next instruction needs to know.
type stage struct {
	b      *builder
	index  int
	cfg    *image.Config // replaced, never changed in place
	layers []image.Layer
	id     image.Digest // "" as long as it is nothing but scratch
	args   map[string]string
	cmdSet bool
	fresh  bool // a step of it has been done anew, so no later key can be in the cache
}

// build runs the stage from its FROM to its end.
func (s *stage) build(ctx context.Context) error {
	file, planned := &s.b.plan.File.Stages[s.index], &s.b.plan.Stages[s.index]
	step := Step{
		Stage: s.index, Name: s.b.plan.label(s.index), Number: planned.First, Total: s.b.plan.Steps, Text: upperFirst(file.Text), Line: file.Line,
	}
	triggers, err := s.from(ctx, step, planned)
	if err != nil {
		return err
	}
	for i, text := range triggers {
		in, err := s.b.plan.File.Trigger(text, file.Line)
		if err != nil {
			return err
		}
		sub := step
		sub.Sub, sub.Text = i+1, upperFirst(in.Text)
		if err := s.instruction(ctx, sub, &in); err != nil {
			return err
		}
	}
	for i := range file.Instructions {
		in := &file.Instructions[i]
		step.Number, step.Text, step.Line = step.Number+1, upperFirst(in.Text), in.Line
		if err := s.instruction(ctx, step, in); err != nil {
			return err
		}
	}
	return s.labels(ctx, step)
}

// upperFirst leaves the author's spaces as they are, as Docker does.
func upperFirst(text string) string {
	text = strings.TrimSpace(text)
	name, _, _ := strings.Cut(text, " ")
	return strings.ToUpper(name) + text[len(name):]
}

// from takes over the base and returns its ONBUILD triggers.
func (s *stage) from(ctx context.Context, step Step, planned *PlannedStage) ([]string, error) {
	begun := time.Now()
	s.b.emit(Started{step})
	base, err := s.b.base(ctx, planned.Base, planned.Platform)
	if err != nil {
		return nil, s.failed(step, step.Line, err)
	}
	s.take(base, planned)
	triggers := s.cfg.Config.OnBuild
	s.cfg.Config.OnBuild = nil
	s.b.emit(Finished{Step: step, ID: s.id, Cached: true, Elapsed: time.Since(begun)})
	if len(triggers) > 0 {
		s.b.emit(Triggers{Step: step, Count: len(triggers)})
	}
	return triggers, nil
}

func (s *stage) take(base Image, planned *PlannedStage) {
	s.id, s.layers, s.args = base.ID, base.Layers, map[string]string{}
	s.cfg = base.Config
	if s.cfg == nil {
		s.cfg = &image.Config{OS: planned.Platform.OS, Architecture: planned.Platform.Architecture, Variant: planned.Platform.Variant}
	}
	s.cfg = s.cloneConfig()
	s.cfg.Container, s.cfg.DockerVersion, s.cfg.Comment = "", "", ""
	if s.cfg.RootFS.Type == "" {
		s.cfg.RootFS.Type = "layers"
	}
	if _, ok := getEnv(s.cfg.Config.Env, "PATH"); !ok {
		s.cfg.Config.Env = append(s.cfg.Config.Env, "PATH="+defaultPath)
	}
}

// cloneConfig returns a copy that can be changed.
func (s *stage) cloneConfig() *image.Config {
	b, err := json.Marshal(s.cfg)
	var c image.Config
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		panic("internal error: copying an image configuration: " + err.Error())
	}
	return &c
}

// instruction does one step and reports it.
func (s *stage) instruction(ctx context.Context, step Step, in *dockerfile.Instruction) error {
	begun := time.Now()
	s.b.emit(Started{step})
	cached, err := s.do(ctx, step, in)
	if err != nil {
		return s.failed(step, in.EndLine, err)
	}
	s.b.emit(Finished{Step: step, ID: s.id, Cached: cached, Elapsed: time.Since(begun)})
	return nil
}

func (s *stage) do(ctx context.Context, step Step, in *dockerfile.Instruction) (cached bool, err error) {
	if err := context.Cause(ctx); err != nil {
		return false, err
	}
	op, err := in.Expand(dockerfile.NewExpander(s.environment()))
	if err != nil {
		return false, err
	}
	switch op := op.(type) {
	case dockerfile.Args:
		return s.arguments(ctx, op)
	case dockerfile.Workdir:
		return s.makeWorkdir(ctx, op)
	case dockerfile.Run:
		return s.run(ctx, step, op)
	case dockerfile.Copy:
		return s.copy(ctx, op)
	}
	return s.change(ctx, op)
}

// labels adds those of the command line to the target as a step of their own, as the classic builder does.
func (s *stage) labels(ctx context.Context, step Step) error {
	if len(s.b.o.Labels) == 0 || s.index != s.b.plan.Target {
		return nil
	}
	var op dockerfile.Label
	for _, k := range sortedKeys(s.b.o.Labels) {
		op.Pairs = append(op.Pairs, dockerfile.Pair{Key: k, Value: s.b.o.Labels[k]})
	}
	begun := time.Now()
	step.Number, step.Text = step.Number+1, pairWords("LABEL", op.Pairs)
	s.b.emit(Started{step})
	cached, err := s.change(ctx, op)
	if err != nil {
		return s.failed(step, step.Line, err)
	}
	s.b.emit(Finished{Step: step, ID: s.id, Cached: cached, Elapsed: time.Since(begun)})
	return nil
}

// environment is what variables are expanded with: an ENV wins over an ARG of the same name.
func (s *stage) environment() []string { return append(list(s.args), s.cfg.Config.Env...) }

// buildArgs lists the ARGs a command sees and the history shows, sorted.
func (s *stage) buildArgs() []string {
	var out []string
	for _, kv := range list(s.args) {
		name, _, _ := strings.Cut(kv, "=")
		if _, isEnv := getEnv(s.cfg.Config.Env, name); !isEnv && !isProxy(name) {
			out = append(out, kv)
		}
	}
	return out
}

// key identifies a step by its parent, its words and what else it depends on.
func (s *stage) key(kind, createdBy string, more ...string) cache.Key {
	epoch := ""
	if s.b.epoch != nil {
		epoch = fmt.Sprint(s.b.epoch.Unix())
	}
	p := s.b.plan.Stages[s.index].Platform.String()
	return cache.NewKey(append([]string{"step 1", kind, string(s.id), p, epoch, createdBy}, more...)...)
}

// probe looks a step up and takes over the image it led to. A hit needs the image itself to be there. portable says that
// createdBy tells all the step depends on, so that the history of another image can answer, too.
func (s *stage) probe(ctx context.Context, key cache.Key, createdBy string, portable bool) (bool, error) {
	if s.b.o.NoCache {
		return false, nil
	}
	id, ok := s.b.index.Get(key)
	if !ok {
		if id, ok = s.b.imports.find(ctx, s, key); !ok {
			return s.probeImages(ctx, key, createdBy, portable)
		}
	}
	img, err := s.b.d.Images.Load(ctx, id)
	if err != nil {
		return false, context.Cause(ctx) // an entry whose image is gone is a miss
	}
	s.adopt(img)
	s.b.exports.add(key, img)
	return true, nil
}

func (s *stage) adopt(img Image) {
	s.id, s.cfg, s.layers = img.ID, img.Config, img.Layers
}

// commit makes the step's image: s.cfg with one more history entry, and the layer when there is one.
func (s *stage) commit(ctx context.Context, key cache.Key, createdBy string, layer *image.Layer) error {
	return s.commitAt(ctx, key, image.History{Created: s.b.now(), CreatedBy: createdBy, Author: s.cfg.Author}, layer)
}

func (s *stage) commitAt(ctx context.Context, key cache.Key, h image.History, layer *image.Layer) error {
	c := s.cloneConfig()
	h.EmptyLayer = layer == nil
	c.Created, c.History = h.Created, append(c.History, h)
	layers := s.layers
	if layer != nil {
		layers = append(slices.Clip(s.layers), *layer)
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, layer.DiffID)
	}
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encoding image configuration: %w", err)
	}
	id, err := s.b.d.Images.Put(ctx, b, layers, s.id)
	if err != nil {
		return fmt.Errorf("storing image: %w", err)
	}
	s.adopt(Image{ID: id, Config: c, Layers: layers})
	s.fresh = true
	if err := s.b.index.Put(key, id); err != nil {
		s.b.warn(0, fmt.Sprintf("the build cache cannot be written: %v", err))
	}
	s.b.exports.add(key, Image{ID: id, Config: c, Layers: layers})
	return nil
}
