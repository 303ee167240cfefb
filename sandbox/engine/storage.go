package engine

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"

	"github.com/moss-sandbox/moss/sandbox/guest"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/sandbox/supervisor"
	"github.com/moss-sandbox/moss/userns"
	"github.com/moss-sandbox/moss/userns/spawn"
)

// The ladder of layers: the kernel's overlay, fuse-overlayfs where it is installed, copies.

// storageFile keeps what this host can do, for this boot and data root.
const storageFile = "/storage.json"

type storageRecord struct {
	V    int          `json:"v"`
	Data string       `json:"data"`
	At   userns.Where `json:"at"`
	Kind spec.Kind    `json:"kind"`
	Why  string       `json:"why,omitempty"` // why it is not the best
}

// storage is the kind of root that was asked for, or the best that works here: tried once per boot.
func (e *Engine) storage() (spec.Kind, error) {
	switch e.Config.Storage {
	case "", "auto":
	case "overlay":
		return spec.Overlay, nil
	case "copy":
		return spec.Copy, nil
	case "fuse-overlayfs":
		return spec.Fuse, nil
	default:
		return "", hint("use overlay, fuse-overlayfs or copy", "storage %q: unknown", e.Config.Storage)
	}
	path := e.Dirs.Run + storageFile
	var r storageRecord
	if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &r) == nil && r.V == 1 && r.Data == e.Dirs.Data && r.At == userns.Here() {
		return r.Kind, nil
	}
	r = storageRecord{V: 1, Data: e.Dirs.Data, At: userns.Here(), Kind: spec.Overlay}
	if err := e.tryOverlay(); err != nil {
		var ce *spawn.CallError
		if !errors.As(err, &ce) {
			return "", err // it could not be tried
		}
		r.Why, r.Kind = err.Error(), spec.Copy
		if _, err := exec.LookPath(fuseOverlayfs); err == nil && readable("/dev/fuse") {
			r.Kind = spec.Fuse
		}
	}
	return r.Kind, e.Dirs.WriteBootBound(path, r)
}

const fuseOverlayfs = "fuse-overlayfs"

func readable(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// fusePath is where fuse-overlayfs is, for a container that needs it.
func fusePath() string {
	p, err := exec.LookPath(fuseOverlayfs)
	if err != nil {
		return ""
	}
	return p
}

// tryOverlay mounts an overlay in the data root, inside the namespace.
func (e *Engine) tryOverlay() error {
	ns, err := e.Namespace()
	if err != nil {
		return err
	}
	if err := e.Dirs.Ensure(e.Dirs.Mnt()); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(e.Dirs.Data, "try-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := e.Dirs.Own(dir); err != nil {
		return err
	}
	for _, d := range []string{"/l", "/u", "/w"} {
		if err := e.Dirs.Mkdir(dir+d, 0o755); err != nil {
			return err
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	l := guest.TryOverlay(dir, e.Dirs.Mnt(), e.realRoot)
	pid, err := l.Start(spawn.Options{Name: "moss-try", Files: []int{-1, -1, -1, ns.FD(), int(w.Fd())}, Report: guest.TryReport, TmpDir: e.Dirs.Run})
	w.Close()
	if err != nil {
		return err
	}
	err = l.Reports(r, func(uint64) {})
	_, _ = spawn.Wait(pid)
	supervisor.FreshWork(dir + "/w")
	return err
}

// checkRoot refuses what a kind of root cannot do.
func (e *Engine) checkRoot(b *base) error {
	if b.kind == spec.Fuse && fusePath() == "" {
		return hint("install fuse-overlayfs, or use MOSS_STORAGE=copy", "storage fuse-overlayfs: the program is not installed")
	}
	if b.kind != spec.Overlay && len(b.trees) > 1 {
		return hint("pull an image instead", "this machine as an image needs the kernel's overlay file system, which cannot be used here")
	}
	return nil
}

// Storage tells info which kind is in use.
func (e *Engine) Storage() (spec.Kind, error) { return e.storage() }
