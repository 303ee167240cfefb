package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/machine"
	"github.com/moss-sandbox/moss/image/store"
	"github.com/moss-sandbox/moss/sandbox/spec"
	"github.com/moss-sandbox/moss/slirp"
)

// base is what a container stands on: an image's layers, or a directory of this machine.
type base struct {
	id      string // of the image; empty for a directory
	config  *image.Settings
	kind    spec.Kind
	trees   []spec.Tree
	binds   []spec.Mount
	release func()
}

// base finds the image, pulling it if the policy says so.
func (e *Engine) base(ctx context.Context, o *Create) (*base, error) {
	if isDirectoryImage(o.Image) {
		return e.directory(ctx, o.Image)
	}
	ns, err := e.Namespace()
	if err != nil {
		return nil, err
	}
	images, err := e.Images()
	if err != nil {
		return nil, err
	}
	if o.Pull == "always" {
		if err := e.pull(ctx, o.Image); err != nil {
			return nil, err
		}
	}
	release, err := images.Hold(ctx) // nobody removes the image until the container that stands on it can be seen
	if err != nil {
		return nil, err
	}
	img, lower, err := unpacked(images, o.Image, ns.Map.Key())
	if err == nil && !provides(img, o.Platform) && o.Pull != "always" {
		err = &store.NotFoundError{Name: o.Image}
	}
	if (errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrNotUnpacked)) && o.Pull != "never" {
		release() // a pull takes its time, and holds for itself
		if err := e.pull(ctx, o.Image); err != nil {
			return nil, err
		}
		if release, err = images.Hold(ctx); err != nil {
			return nil, err
		}
		img, lower, err = unpacked(images, o.Image, ns.Map.Key())
	}
	if err != nil {
		release()
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("No such image: %s", familiar(o.Image))
	}
	if err != nil {
		return nil, err
	}
	if len(lower) == 0 {
		lower = []string{e.emptyLayer()}
	}
	kind, err := e.storage()
	if err != nil {
		release()
		return nil, err
	}
	b := &base{release: release, id: string(img.ID), config: &img.Config.Config, kind: kind}
	b.trees = []spec.Tree{{Target: "/", Lower: lower, Upper: "upper", Work: "work"}}
	return b, nil
}

// unpacked finds an image and its layers' directories.
func unpacked(images *store.Store, name, mapKey string) (*store.Image, []string, error) {
	img, err := images.Lookup(name)
	if err != nil {
		return nil, nil, err
	}
	lower, err := images.Lowers(img, mapKey)
	return img, lower, err
}

// provides tells whether an image is for the platform that is asked for.
func provides(img *store.Image, platform string) bool {
	want, err := image.ParsePlatform(platform)
	have := image.Platform{OS: img.Config.OS, Architecture: img.Config.Architecture, Variant: img.Config.Variant}
	return platform == "" || err == nil && want.Runs(have)
}

// pull fetches an image by whatever the program can.
func (e *Engine) pull(ctx context.Context, name string) error {
	if e.Pull == nil {
		return fmt.Errorf("No such image: %s", familiar(name))
	}
	return e.Pull(ctx, name)
}

func familiar(name string) string {
	if r, err := image.ParseRef(name); err == nil {
		return r.Familiar()
	}
	return name
}

// emptyLayer stands below an image without layers: overlay needs one.
func (e *Engine) emptyLayer() string {
	dir := e.Dirs.Data + "/empty"
	_ = e.Dirs.Ensure(dir) // a mount that fails names it
	return dir
}

// directory makes an image of a directory of this machine.
func (e *Engine) directory(ctx context.Context, name string) (*base, error) {
	dir, err := filepath.Abs(name)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, hint("an IMAGE that begins with / or . is a directory of this machine", "image directory %q: %w", name, pathError(err))
	}
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, hint("an IMAGE that begins with / or . is a directory of this machine", "image directory %q: not a directory", name)
	}
	ns, err := e.Namespace()
	if err != nil {
		return nil, err
	}
	kind, err := e.storage()
	if err != nil {
		return nil, err
	}
	b := &base{release: func() {}, kind: kind, config: &image.Settings{Cmd: []string{"/bin/sh"}}}
	src := machine.Source{Dir: dir, DataRoot: e.Dirs.Data, Owner: machine.Owner{UID: e.Dirs.UID, GID: e.Dirs.GID}, Mapped: ns.Map.HasUID}
	root, err := machine.Prepare(ctx, src)
	if err != nil {
		return nil, err
	}
	for i, o := range root.Overlays {
		t := spec.Tree{Target: o.Target, Lower: o.Lower, Upper: "upper", Work: "work"}
		if i > 0 {
			n := strconv.Itoa(i)
			t.Upper, t.Work = "trees/"+n+"/upper", "trees/"+n+"/work"
		}
		b.trees = append(b.trees, t)
	}
	for _, m := range root.Binds {
		b.binds = append(b.binds, spec.Mount{Type: spec.Bind, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, File: true})
	}
	return b, nil
}

// pathError drops the path that the message has already.
func pathError(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// defaultNetwork is the network of run without --network.
const defaultNetwork = slirp.NameBridge
