package build

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build/cache"
	buildctx "github.com/moss-sandbox/moss/image/build/context"
	"github.com/moss-sandbox/moss/image/build/dockerfile"
	"github.com/moss-sandbox/moss/image/build/tree"
)

// Build makes an image. The error is a *RunError for a command that failed, a *dockerfile.SyntaxError for a Dockerfile at
// fault, a *StepError for an instruction that could not be done, and otherwise says what the build lacks. Nothing is tagged
// before all of it is complete; the steps that are complete stay in the cache.
func Build(ctx context.Context, o Options, d Deps) (Result, error) {
	b := &builder{
		o: o, d: d, index: cache.Open(d.CacheDir), slots: slots(), contexts: map[string]*buildctx.Context{},
		memories: map[string]*buildctx.StatCache{}, images: map[string]Image{},
	}
	defer b.close()
	if err := b.prepare(ctx); err != nil {
		return Result{}, err
	}
	s, err := b.run(ctx)
	if err != nil {
		return Result{Warnings: b.warned}, err
	}
	return b.finish(ctx, s)
}

// prepare opens the context, reads the Dockerfile and makes the plan.
func (b *builder) prepare(ctx context.Context) (err error) {
	if b.epoch, err = epochOf(b.o.BuildArgs); err != nil {
		return err
	}
	if err := b.openContext(ctx); err != nil {
		return err
	}
	text, name, err := b.dockerfile()
	if err != nil {
		return err
	}
	f, err := dockerfile.Parse(text, name)
	if err != nil {
		return err
	}
	if b.plan, err = NewPlan(f, b.o); err != nil {
		return err
	}
	if b.imports, err = b.openImports(ctx); err != nil {
		return err
	}
	b.exports = newExports(b.o.CacheTo)
	b.announce()
	return nil
}

func (b *builder) announce() {
	p := Planned{Steps: b.plan.Steps}
	for i, s := range b.plan.Stages {
		if s.Needed {
			p.Stages = append(p.Stages, StageRange{i, b.plan.label(i), s.First, b.plan.last(i, len(b.o.Labels) > 0)})
		}
	}
	b.emit(p)
	for _, w := range b.plan.File.Warnings {
		b.warn(w.Line, w.Message)
	}
}

func (b *builder) openContext(ctx context.Context) (err error) {
	src := b.o.Source
	switch {
	case src.Dir != "":
		b.main, err = buildctx.Open(src.Dir)
	case src.Stream != nil:
		err = b.fromStream(src.Stream)
	case src.URL != "":
		err = b.fromURL(ctx, src.URL)
	default:
		err = b.emptyContext()
	}
	return err
}

func (b *builder) emptyContext() error {
	dir, err := b.temp("context-")
	if err != nil {
		return err
	}
	if b.main, err = buildctx.Open(dir); err == nil {
		b.main.Remember = false
	}
	return err
}

// fromStream reads a context from an archive; what is no archive is the Dockerfile of an empty context.
func (b *builder) fromStream(r io.Reader) error {
	buffered := bufio.NewReaderSize(r, 1<<20)
	head, _ := buffered.Peek(1 << 20)
	if !tree.IsArchive(bytes.NewReader(head)) {
		if b.o.Text == nil {
			b.o.Text = buffered
		}
		return b.emptyContext()
	}
	dir, err := b.temp("context-")
	if err != nil {
		return err
	}
	b.main, err = buildctx.FromTar(buffered, dir, b.o.Limits)
	return err
}

func (b *builder) fromURL(ctx context.Context, url string) error {
	dir, err := b.temp("context-")
	if err != nil {
		return err
	}
	if g, ok := buildctx.ParseGit(url, true); ok {
		b.main, err = buildctx.CloneGit(ctx, g, dir)
		return err
	}
	if !buildctx.IsURL(url) {
		return fmt.Errorf("%q is neither a directory, a git repository nor a URL", url)
	}
	d, err := buildctx.Fetch(ctx, b.http(), url, "", dir)
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(dir, d.Name))
	if err != nil {
		return err
	}
	b.o.Source.Stream = f
	return b.fromStream(f)
}

// dockerfile finds the Dockerfile and reads the .dockerignore that belongs to it.
func (b *builder) dockerfile() (io.Reader, string, error) {
	if b.o.Text != nil {
		return b.o.Text, "Dockerfile", b.main.ReadIgnore("")
	}
	outside := !b.o.InContext && b.o.Source.Dir != ""
	text, inContext, err := b.main.Dockerfile(b.o.Dockerfile, outside)
	if err != nil {
		return nil, "", err
	}
	name := inContext
	if name == "" {
		name = b.o.Dockerfile
	}
	return text, name, b.readIgnore(inContext)
}

// readIgnore honours FILE.dockerignore beside a Dockerfile outside of the context, too.
func (b *builder) readIgnore(inContext string) error {
	if inContext != "" {
		return b.main.ReadIgnore(inContext)
	}
	f, err := os.Open(b.o.Dockerfile + ".dockerignore")
	if errors.Is(err, os.ErrNotExist) {
		return b.main.ReadIgnore("")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	p, err := tree.ReadIgnore(f)
	b.main.Ignore = p.Words()
	return err
}

// A future is a stage that is being built or has been.
type future struct {
	once  sync.Once
	done  chan struct{}
	stage *stage
	err   error
}

// run builds the needed stages and returns the target. The first error ends the others.
func (b *builder) run(ctx context.Context) (*stage, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for range b.plan.Stages {
		b.stages = append(b.stages, &future{done: make(chan struct{})})
	}
	var all sync.WaitGroup
	for i, s := range b.plan.Stages {
		if !s.Needed {
			continue
		}
		if b.o.Sequential {
			if _, err := b.want(ctx, i); err != nil {
				return nil, err
			}
			continue
		}
		all.Go(func() {
			if _, err := b.want(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return b.want(ctx, b.plan.Target)
}

// want returns a stage when it is complete; the first who wants it builds it.
func (b *builder) want(ctx context.Context, i int) (*stage, error) {
	f := b.stages[i]
	f.once.Do(func() {
		defer close(f.done)
		f.stage = &stage{b: b, index: i}
		f.err = f.stage.build(ctx)
	})
	select {
	case <-f.done:
		return f.stage, f.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// finish stores a target without any step, tags it, exports cache and result.
func (b *builder) finish(ctx context.Context, s *stage) (Result, error) {
	if s.id == "" {
		if err := s.commit(ctx, s.key("empty", ""), nop(s.cfg, "FROM scratch"), nil); err != nil {
			return Result{}, err
		}
	}
	r := Result{ID: s.id, Image: Image{ID: s.id, Config: s.cfg, Layers: s.layers}}
	if err := b.output(ctx, r.Image); err != nil {
		return Result{}, err
	}
	b.emit(Built{r.ID})
	for _, name := range b.o.Tags {
		if err := b.d.Images.Tag(ctx, r.ID, name); err != nil {
			return r, fmt.Errorf("tagging %q: %w", name.Familiar(), err)
		}
		r.Tagged = append(r.Tagged, name)
		b.emit(Tagged{r.ID, name})
	}
	if err := b.writeCaches(ctx); err != nil {
		return r, err
	}
	r.Warnings = b.warned
	return r, nil
}

// failed wraps an error with the place of its step, once, and reports it.
func (s *stage) failed(step Step, endLine int, err error) error {
	var run *RunError
	var at *StepError
	var syntax *dockerfile.SyntaxError
	if !errors.As(err, &run) && !errors.As(err, &at) && !errors.As(err, &syntax) && !errors.Is(err, context.Canceled) {
		f := s.b.plan.File
		first, excerpt := f.Excerpt(step.Line, max(endLine, step.Line), 2)
		err = &StepError{Step: step, File: f.Name, First: first, Excerpt: excerpt, EndLine: max(endLine, step.Line), Err: err}
	}
	if !elsewhere(err, step) {
		s.b.emit(Failed{Step: step, Err: err})
	}
	return err
}

// elsewhere tells whether an error is that of another step, for which this one waited.
func elsewhere(err error, step Step) bool {
	var run *RunError
	if errors.As(err, &run) {
		return run.Step != step
	}
	var at *StepError
	return errors.As(err, &at) && at.Step != step
}

// IIDFile writes an image's id as --iidfile wants it: without a final newline.
func IIDFile(name string, id image.Digest) error { return os.WriteFile(name, []byte(id), 0o644) }
