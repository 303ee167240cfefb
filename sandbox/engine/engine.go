package engine

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/userns"
)

// An Engine answers for one user. It is cheap to make: what costs is opened at its first use.
type Engine struct {
	Dirs   sandbox.Dirs
	Config Config

	// Pull fetches an image that is not there; nil in programs that cannot.
	Pull func(ctx context.Context, ref string) error

	realRoot bool
	limits   *group
	mu       sync.Mutex
	ns       *userns.Namespace
	images   *store.Store
	keeping  atomic.Bool // the switch is watched
}

// Open finds the user's directories. Root is --root, or empty.
func Open(root string) (*Engine, error) {
	uid, gid, realRoot, err := userns.Owner()
	if err != nil {
		return nil, err
	}
	e := &Engine{realRoot: realRoot}
	e.limits = &group{e: e, wardens: map[string]*ward{}}
	if e.Dirs, err = sandbox.Locate(root, uid, gid, realRoot); err != nil {
		return nil, err
	}
	e.Config, err = loadConfig()
	return e, err
}

// RealRoot tells whether this is the machine's root.
func (e *Engine) RealRoot() bool { return e.realRoot }

// Namespace is the user's namespace, made now if it is not there, found again if its keeper was killed.
func (e *Engine) Namespace() (*userns.Namespace, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ns != nil && e.ns.Alive() {
		return e.ns, nil
	}
	ns, err := userns.Ensure(e.Dirs.Run, e.survivors)
	if err != nil {
		return nil, err
	}
	e.ns = ns
	return ns, nil
}

// survivors are processes that may still live in an earlier namespace of the user: holders of containers, and their first
// processes, which have one of their own in it.
func (e *Engine) survivors() (out []userns.Survivor) {
	all, err := e.Dirs.List()
	if err != nil {
		return nil
	}
	for _, s := range all {
		if n, err := s.Look(); err == nil && n.State.Status == sandbox.Running {
			out = append(out, userns.Survivor{Process: n.State.Holder}, userns.Survivor{Process: n.State.Guest, Nested: true})
		}
	}
	return out
}

// Images is the user's image store.
func (e *Engine) Images() (*store.Store, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.images != nil {
		return e.images, nil
	}
	s, err := store.Open(e.Dirs.Data, store.Options{
		Owner: &store.Owner{UID: e.Dirs.UID, GID: e.Dirs.GID}, Shared: e.Config.Stores, InUse: e.inUse,
	})
	if err != nil {
		return nil, err
	}
	e.images = s
	return s, nil
}

// Env is what serving containers needs.
func (e *Engine) Env() (*supervisor.Env, error) {
	ns, err := e.Namespace()
	if err != nil {
		return nil, err
	}
	return &supervisor.Env{Dirs: &e.Dirs, Namespace: ns, Network: network{e}, Group: e.limits, Join: e.limits.join, RemoveTree: e.Worker().RemoveTree, FuseOverlay: fusePath}, nil
}

// A Hint is an error with a remedy.
type Hint struct {
	Err    error
	Remedy string
}

func (h *Hint) Error() string   { return h.Err.Error() }
func (h *Hint) Unwrap() error   { return h.Err }
func (h *Hint) Hints() []string { return []string{h.Remedy} }

// hint makes an error with a remedy.
func hint(remedy, format string, args ...any) error {
	return &Hint{Err: fmt.Errorf(format, args...), Remedy: remedy}
}

// isDirectoryImage tells whether an IMAGE argument means a directory of this machine.
func isDirectoryImage(name string) bool {
	return strings.HasPrefix(name, "/") || strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../") || name == "." || name == ".."
}

// getenv reads a documented environment variable.
func getenv(name string) string { return os.Getenv(name) }
