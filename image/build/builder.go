package build

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build/cache"
	buildctx "github.com/moss-sandbox/moss/image/build/context"
	"github.com/moss-sandbox/moss/image/build/scratch"
	"github.com/moss-sandbox/moss/image/build/task"
	"github.com/moss-sandbox/moss/image/build/tree"
)

// A builder is one build under way.
type builder struct {
	o       Options
	d       Deps
	plan    *Plan
	main    *buildctx.Context
	epoch   *time.Time // SOURCE_DATE_EPOCH
	index   *cache.Index
	imports *imports
	exports *exports
	slots   chan struct{}
	stages  []*future

	mu         sync.Mutex // of what follows
	tmp        string
	tmpRelease func()
	contexts   map[string]*buildctx.Context
	memories   map[string]*buildctx.StatCache
	images     map[string]Image
	warned     []Warned

	report sync.Mutex // one event at a time
}

func (b *builder) emit(e Event) {
	if b.o.Progress == nil {
		return
	}
	b.report.Lock()
	defer b.report.Unlock()
	b.o.Progress(e)
}

func (b *builder) warn(line int, message string) {
	w := Warned{Line: line, Message: message}
	b.mu.Lock()
	b.warned = append(b.warned, w)
	b.mu.Unlock()
	b.emit(w)
}

func (b *builder) http() *http.Client {
	if b.d.HTTP != nil {
		return b.d.HTTP
	}
	return http.DefaultClient
}

// now is the time of a history entry.
func (b *builder) now() *time.Time {
	if b.epoch != nil {
		return b.epoch
	}
	t := time.Now().UTC()
	return &t
}

// epochOf reads SOURCE_DATE_EPOCH (reproducible-builds.org: seconds, decimal).
func epochOf(args map[string]string) (*time.Time, error) {
	v := args["SOURCE_DATE_EPOCH"]
	if v == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("invalid SOURCE_DATE_EPOCH %q: want seconds since 1970", v)
	}
	t := time.Unix(n, 0).UTC()
	return &t, nil
}

// temp makes a directory that the end of the build removes.
func (b *builder) temp(prefix string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tmp == "" {
		if err := os.MkdirAll(b.d.TempDir, 0o700); err != nil {
			return "", err
		}
		scratch.Sweep(b.d.TempDir, "build-", func(dir string) { _ = os.RemoveAll(dir) })
		dir, release, err := scratch.Make(b.d.TempDir, "build-")
		if err != nil {
			return "", err
		}
		b.tmp, b.tmpRelease = dir, release
	}
	return os.MkdirTemp(b.tmp, prefix)
}

// close ends the build: what was downloaded goes, digests of the context are kept.
func (b *builder) close() {
	for _, m := range b.memories {
		_ = m.Save() // losing it costs the next build time only
	}
	for _, c := range b.contexts {
		c.Close()
	}
	if b.main != nil {
		b.main.Close()
	}
	if b.tmp != "" {
		os.RemoveAll(b.tmp)
		b.tmpRelease()
	}
}

// memory returns the digests remembered of a context, nil for a temporary one.
func (b *builder) memory(c *buildctx.Context) tree.Digests {
	if !c.Remember {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.memories[c.Path]
	if !ok {
		m = buildctx.OpenStatCache(filepath.Join(b.d.CacheDir, "context"), c.Path)
		b.memories[c.Path] = m
	}
	return m
}

// named opens a --build-context.
func (b *builder) named(ctx context.Context, name string) (*buildctx.Context, error) {
	b.mu.Lock()
	c, ok := b.contexts[strings.ToLower(name)]
	b.mu.Unlock()
	if ok {
		return c, nil
	}
	value, _ := namedContext(b.o, name)
	c, err := b.openNamed(ctx, value)
	if err != nil {
		return nil, fmt.Errorf("build context %q: %w", name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if first, ok := b.contexts[strings.ToLower(name)]; ok {
		c.Close()
		return first, nil
	}
	b.contexts[strings.ToLower(name)] = c
	return c, nil
}

func (b *builder) openNamed(ctx context.Context, value string) (*buildctx.Context, error) {
	if g, ok := buildctx.ParseGit(value, true); ok {
		dir, err := b.temp("context-")
		if err != nil {
			return nil, err
		}
		return buildctx.CloneGit(ctx, g, dir)
	}
	c, err := buildctx.Open(value)
	if err != nil {
		return nil, err
	}
	return c, c.ReadIgnore("")
}

// base returns what a stage stands on or copies from; it waits for a stage.
func (b *builder) base(ctx context.Context, base Base, platform image.Platform) (Image, error) {
	switch base.Kind {
	case BaseScratch:
		return Image{Config: &image.Config{OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant}}, nil
	case BaseStage:
		s, err := b.want(ctx, base.Stage)
		if err != nil {
			return Image{}, err
		}
		return Image{ID: s.id, Config: s.cfg, Layers: s.layers}, nil
	case BaseContext:
		return b.contextImage(ctx, base.Name, platform)
	}
	return b.image(ctx, base.Name, platform)
}

func (b *builder) image(ctx context.Context, name string, platform image.Platform) (Image, error) {
	key := name + " " + platform.String()
	b.mu.Lock()
	img, ok := b.images[key]
	b.mu.Unlock()
	if ok {
		return img, nil
	}
	img, err := b.d.Images.Image(ctx, name, b.o.Pull, platform)
	if err != nil {
		return img, err
	}
	if got := img.Config.Platform(); !platform.Runs(got) {
		b.warn(0, fmt.Sprintf("the image %s is for %s, the build for %s", name, got, platform))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.images[key] = img
	return img, nil
}

// contextImage makes a named context that is a directory the base of a stage: scratch and one layer.
func (b *builder) contextImage(ctx context.Context, name string, platform image.Platform) (Image, error) {
	c, err := b.named(ctx, name)
	if err != nil {
		return Image{}, err
	}
	s := &stage{b: b, index: b.plan.Target, args: map[string]string{}}
	s.take(Image{}, &PlannedStage{Platform: platform})
	t := &transfer{dest: "/"}
	if err := s.gatherContext(ctx, t, c, tree.Selection{Sources: []string{"/"}}); err != nil {
		return Image{}, err
	}
	key, createdBy := s.copyKey(t)
	hit, err := s.probe(ctx, key, createdBy, true)
	if err == nil && !hit {
		err = s.transfer(ctx, t)
	}
	return Image{ID: s.id, Config: s.cfg, Layers: s.layers}, err
}

// lowers returns the directories of layers; none for scratch.
func (b *builder) lowers(ctx context.Context, layers []image.Layer) ([]string, error) {
	if len(layers) == 0 {
		return nil, nil
	}
	return b.d.Trees.Lowers(ctx, layers)
}

// do lets the worker carry out a task. A source without layers is an empty directory.
func (b *builder) do(ctx context.Context, t task.Task, out io.Writer) (task.Result, error) {
	t.Sources = slices.Clone(t.Sources)
	for i, s := range t.Sources {
		if len(s.Lowers) == 0 && s.Upper == "" {
			dir, err := b.temp("empty-")
			if err != nil {
				return task.Result{}, err
			}
			t.Sources[i] = task.Stack{Lowers: []string{dir}, Host: true}
		}
	}
	res, err := b.d.Worker.Do(ctx, t, out)
	if err != nil {
		return res, err
	}
	return res, res.Err()
}

// slot bounds how many commands run at once.
func (b *builder) slot(ctx context.Context) error {
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *builder) freeSlot() { <-b.slots }

func slots() chan struct{} { return make(chan struct{}, max(2, runtime.GOMAXPROCS(0))) }

// containerID is what the classic output calls the container of a step.
func containerID() string {
	var b [6]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// lockVolume waits until no other build uses a cache mount.
func (b *builder) lockVolume(ctx context.Context, name string) (unlock func(), err error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		unlock, err = b.tryVolume(name)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) {
			return unlock, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// freeVolume finds a cache mount of this name that nobody uses: name, name-1, …
func (b *builder) freeVolume(name string) (string, func(), error) {
	for i := range 1000 {
		candidate := name
		if i > 0 {
			candidate = fmt.Sprintf("%s-%d", name, i)
		}
		unlock, err := b.tryVolume(candidate)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) {
			return candidate, unlock, err
		}
	}
	return "", nil, errors.New("a thousand builds use this private cache mount")
}

func (b *builder) tryVolume(name string) (unlock func(), err error) {
	dir := filepath.Join(b.d.CacheDir, "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking cache mount: %w", err)
	}
	return func() { f.Close() }, nil
}
