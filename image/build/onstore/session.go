package onstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build"
	"github.com/moss-sandbox/moss/image/layer"
	"github.com/moss-sandbox/moss/image/store"
)

// Config is what a Session stands on.
type Config struct {
	Store  *store.Store
	MapKey string // of the id map
	Worker Worker
	Tasks  build.Worker // prunes mount points
	Owner  *store.Owner // as store.Options: who owns what is made; nil: this process
	Limits layer.Limits // of layers that are unpacked
	// Pull fetches an image into the store and unpacks it; the store's session keeps it from then on.
	Pull func(ctx context.Context, name string, platform image.Platform) error
}

// A Worker unpacks, packs and removes inside the user namespace.
type Worker interface {
	store.Worker
	store.Packer
}

// A Session serves one build. Close it. It is safe for concurrent use.
type Session struct {
	c    Config
	ss   *store.Session
	dir  string // uppers/ID
	lock *os.File
	next atomic.Int64
	mu   sync.Mutex // one image at a time is put
}

var (
	_ build.Images = (*Session)(nil)
	_ build.Trees  = (*Session)(nil)
)

// Begin begins a session and sweeps what killed builds have left.
func Begin(ctx context.Context, c Config) (*Session, error) {
	ss, err := c.Store.Begin(ctx)
	if err != nil {
		return nil, err
	}
	s := &Session{c: c, ss: ss}
	if err := s.makeDir(ctx); err != nil {
		return nil, errors.Join(err, ss.End())
	}
	return s, nil
}

func (s *Session) makeDir(ctx context.Context) error {
	all := filepath.Join(s.c.Store.Root(), "uppers")
	if err := s.mkdir(all); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	s.sweep(ctx, all)
	var id [8]byte
	rand.Read(id[:])
	s.dir = filepath.Join(all, hex.EncodeToString(id[:]))
	if err := s.mkdir(s.dir); err != nil {
		return err
	}
	var err error
	if s.lock, err = os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	return syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// sweep removes the directories whose build is gone. A directory without a lock is just being made.
func (s *Session) sweep(ctx context.Context, all string) {
	found, err := os.ReadDir(all)
	if err != nil {
		return
	}
	for _, f := range found {
		dir := filepath.Join(all, f.Name())
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = s.c.Worker.RemoveTree(ctx, dir) // the next build tries again
		}
		lock.Close()
	}
}

// mkdir makes a directory that root of the user namespace owns.
func (s *Session) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
		return err
	}
	if o := s.c.Owner; o != nil && o.UID != os.Geteuid() {
		return os.Lchown(dir, o.UID, o.GID)
	}
	return nil
}

// Close gives up what the build has not made an image of.
func (s *Session) Close() error {
	err := s.c.Worker.RemoveTree(context.Background(), s.dir)
	return errors.Join(err, s.lock.Close(), s.ss.End())
}

// Image implements build.Images.
func (s *Session) Image(ctx context.Context, name string, p build.Pull, platform image.Platform) (build.Image, error) {
	if p == build.PullAlways {
		if err := s.pull(ctx, name, platform); err != nil {
			return build.Image{}, err
		}
	}
	m, err := s.c.Store.Lookup(name)
	if errors.Is(err, store.ErrNotFound) && p == build.PullMissing {
		if err := s.pull(ctx, name, platform); err != nil {
			return build.Image{}, err
		}
		m, err = s.c.Store.Lookup(name)
	}
	if err != nil {
		return build.Image{}, err
	}
	return s.hold(ctx, m)
}

func (s *Session) pull(ctx context.Context, name string, platform image.Platform) error {
	if s.c.Pull == nil {
		return fmt.Errorf("No such image: %s", name)
	}
	return s.c.Pull(ctx, name, platform)
}

// hold keeps an image from garbage collection for as long as the session lives. Its configuration is read from the blob:
// Lookup's has no history, and what is built on the image continues that.
func (s *Session) hold(ctx context.Context, m *store.Image) (build.Image, error) {
	digests := []image.Digest{m.ID}
	for _, l := range m.Layers {
		digests = append(digests, l.Digest, l.DiffID)
	}
	if err := s.ss.Add(ctx, digests...); err != nil {
		return build.Image{}, err
	}
	b, err := s.c.Store.ReadBlob(m.ID, image.MaxConfigBytes)
	if err != nil {
		return build.Image{}, err
	}
	c, err := image.ParseConfig(b)
	return build.Image{ID: m.ID, Config: c, Layers: m.Layers}, err
}

// Load implements build.Images.
func (s *Session) Load(ctx context.Context, id image.Digest) (build.Image, error) {
	m, err := s.c.Store.Lookup(string(id))
	if err != nil {
		return build.Image{}, err
	}
	for _, l := range m.Layers {
		if _, ok := s.c.Store.HasBlob(l.Digest); !ok {
			return build.Image{}, fmt.Errorf("%w: %s", store.ErrNoBlob, l.Digest)
		}
	}
	return s.hold(ctx, m)
}

// Put implements build.Images.
func (s *Session) Put(ctx context.Context, config []byte, layers []image.Layer, parent image.Digest) (image.Digest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.ss.Compose(ctx, store.Composed{Config: config, Layers: layers, Parent: parent})
	if err != nil {
		return "", err
	}
	return m.ID, nil
}

// Tag implements build.Images.
func (s *Session) Tag(ctx context.Context, id image.Digest, name image.Ref) error {
	return s.c.Store.Tag(ctx, string(id), name)
}
